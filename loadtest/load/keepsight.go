package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/keepsight/keepsight/api"
)

// A keepsightConn adds lookups and claims to GET and PUT.
type keepsightConn struct {
	httpConn
	lookupPath string
	body       []byte // of the last lookup's answer
	asked      questions
}

// claimTTL lets the slowest encode of the table finish.
const claimTTL = 10 * time.Second

// Lookup implements Looker. It counts hits without making values of the answer, as the other protocols count.
func (c *keepsightConn) Lookup(q *Question) (int, error) {
	request, err := c.asked.encoded(q, func() ([]byte, error) { return json.Marshal(api.LookupRequest{Keys: q.Keys}) })
	if err != nil {
		return 0, err
	}
	if err := c.ask(request); err != nil {
		return 0, err
	}
	return bytes.Count(c.body, []byte(`"state":"hit"`)), nil
}

// Claim implements Claimer.
func (c *keepsightConn) Claim(keys []string, owner string, wait time.Duration) (Standing, error) {
	request, err := json.Marshal(api.LookupRequest{
		Keys:   keys,
		Claim:  &api.ClaimRequest{Owner: owner, TTLMS: claimTTL.Milliseconds()},
		WaitMS: wait.Milliseconds(),
	})
	if err != nil {
		return Standing{}, err
	}
	if err := c.ask(request); err != nil {
		return Standing{}, err
	}
	var response api.LookupResponse
	if err := api.DecodeResponse(c.body, &response); err != nil {
		return Standing{}, c.end(err)
	}
	if len(response.Results) != len(keys) {
		return Standing{}, c.end(protocolErrorf("%d results for %d keys", len(response.Results), len(keys)))
	}
	standing := Standing{Hit: make([]bool, len(keys)), Pending: make([]bool, len(keys))}
	if response.Claim != nil {
		standing.Claim = *response.Claim
	}
	for i, result := range response.Results {
		standing.Hit[i] = result.State == api.Hit
		standing.Pending[i] = result.State == api.Pending
	}
	return standing, nil
}

// ask sends a lookup and reads its answer into c.body.
func (c *keepsightConn) ask(request []byte) error {
	c.head = c.request(http.MethodPost, c.lookupPath)
	c.head = fmt.Appendf(c.head, "Content-Type: %s\r\nContent-Length: %d\r\n\r\n", api.MediaJSON, len(request))
	c.head = append(c.head, request...)
	a, err := c.exchange()
	if err == nil && a.status == http.StatusOK {
		err = c.readBody(a.length)
	} else if err == nil {
		err = c.unwanted(a)
	}
	return c.settle(a, err)
}

// maxLookupAnswer holds 256 results with 8 KiB of meta each, escaped.
const maxLookupAnswer = 16 << 20

func (c *keepsightConn) readBody(length int) error {
	if length < 0 || length > maxLookupAnswer {
		return protocolErrorf("a lookup answer of %d bytes", length)
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err := io.ReadFull(c.r, c.body)
	return err
}
