package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"path"
	"strings"
	"sync/atomic"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// A verb is what a principal may do in a namespace. The service cannot check that an embedding belongs to
// its key, so who may write is who is trusted: that is the integrity boundary.
type verb string

const (
	verbKnown  verb = "" // anybody who is known
	verbRead   verb = "read"
	verbWrite  verb = "write"
	verbDelete verb = "delete"
	verbAdmin  verb = "admin"
)

// A right is what a call takes, and what the metrics call it.
type right struct {
	verb verb
	op   string
}

// rightOf is the table of what each call takes; what is missing in it is denied.
func rightOf(route api.Route, method string) (right, bool) {
	switch method + " " + string(route) {
	case "PUT " + string(api.RouteEmbedding):
		return right{verbWrite, "put"}, true
	case "GET " + string(api.RouteEmbedding):
		return right{verbRead, "get"}, true
	case "HEAD " + string(api.RouteEmbedding):
		return right{verbRead, "head"}, true
	case "DELETE " + string(api.RouteEmbedding):
		return right{verbDelete, "delete"}, true
	case "POST " + string(api.RouteLookup): // claiming also takes verbWrite: see lookup.go
		return right{verbRead, "lookup"}, true
	case "POST " + string(api.RouteFetch):
		return right{verbRead, "fetch"}, true
	case "GET " + string(api.RouteEpoch):
		return right{verbRead, "epoch"}, true
	case "PUT " + string(api.RouteEpoch):
		return right{verbAdmin, "raise_epoch"}, true
	case "GET " + string(api.RouteEvents):
		return right{verbRead, "events"}, true
	case "GET " + string(api.RouteNamespace):
		return right{verbRead, "namespace"}, true
	case "GET " + string(api.RouteNamespaces): // lists only what the principal may read
		return right{verbKnown, "namespaces"}, true
	case "POST " + string(api.RouteClaim): // the token of a claim or pin is its own proof
		return right{verbKnown, "renew_claim"}, true
	case "DELETE " + string(api.RouteClaim):
		return right{verbKnown, "give_up_claim"}, true
	case "DELETE " + string(api.RoutePin):
		return right{verbKnown, "release_pin"}, true
	case "GET " + string(api.RouteStatus): // this and the metrics tell of all tenants together
		return right{verbAdmin, "status"}, true
	case "GET " + string(api.RouteMetrics):
		return right{verbAdmin, "metrics"}, true
	case "GET " + string(api.RouteOpenAPI):
		return right{verbKnown, "openapi"}, true
	case "GET " + string(api.RoutePage):
		return right{verbKnown, "page"}, true
	case "GET " + string(api.RouteLive):
		return right{verbKnown, "livez"}, true
	case "GET " + string(api.RouteReady):
		return right{verbKnown, "readyz"}, true
	}
	return right{}, false
}

// A principal is who sent a request, as the tokens file knows it.
type principal struct {
	name   string // for the log
	tenant string
	grants []grant
}

// A grant allows verbs in the namespaces that match a pattern, where * stands for any characters.
type grant struct {
	namespaces string
	verbs      map[verb]bool
}

// may reports whether the principal has the right in the namespace, or in any if the call is about none.
func (p *principal) may(v verb, namespace string) bool {
	for _, g := range p.grants {
		if matched, _ := path.Match(g.namespaces, namespace); g.verbs[v] && (matched || namespace == "") {
			return true
		}
	}
	return false
}

// check refuses with an answer that is the same whatever the namespace holds.
func (p *principal) check(v verb, namespace string) error {
	if v == verbKnown || p.may(v, namespace) {
		return nil
	}
	return refusal(api.Forbidden)
}

// An access says who is who. Its list is replaced as a whole when the tokens file changes.
type access struct {
	file string // empty: nobody has to say who they are
	list atomic.Pointer[accessList]
}

// An accessList is a tokens file.
type accessList struct {
	tokens []token
	limits map[string]tiers.Limits // by tenant
}

type token struct {
	sum [sha256.Size]byte
	who *principal
}

// defaultTenant owns everything when nobody has to say who they are.
const defaultTenant = "default"

// openAccess knows everybody as the default tenant.
func openAccess() *access {
	a := new(access)
	all := map[verb]bool{verbRead: true, verbWrite: true, verbDelete: true, verbAdmin: true}
	anybody := &principal{name: "anybody", tenant: defaultTenant, grants: []grant{{namespaces: "*", verbs: all}}}
	a.list.Store(&accessList{tokens: []token{{who: anybody}}})
	return a
}

// authenticate finds out who sent a request. It compares with every token, and each in constant time: how
// long a refusal takes tells nothing about the tokens there are.
func (a *access) authenticate(h http.Header) (*principal, error) {
	list := a.list.Load()
	if a.file == "" {
		return list.tokens[0].who, nil
	}
	scheme, secret, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(h["Authorization"]) != 1 {
		return nil, refusal(api.Unauthenticated)
	}
	sum := sha256.Sum256([]byte(secret))
	var found *principal
	for _, t := range list.tokens {
		if subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 {
			found = t.who
		}
	}
	if found == nil {
		return nil, refusal(api.Unauthenticated)
	}
	return found, nil
}

// limits returns what a tenant may use at once.
func (a *access) limits(tenant string) tiers.Limits { return a.list.Load().limits[tenant] }
