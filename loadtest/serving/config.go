package serving

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/keepsight/keepsight/internal/encoder"
	"github.com/keepsight/keepsight/loadtest/pattern"
)

// Defaults of an engine with a 7B vision-language model in BF16 on one H100. They are assumptions, chosen to
// be of the right size; the policies are compared under the same ones.
const (
	defaultEngines  = 4
	defaultRequests = 400
	defaultMedia    = "qwen2.5-vl-image"
	// defaultReuse makes 400 requests draw from 80 images, as Dynamo's published benchmark makes 1,000
	// draw from 200: 80% of what is asked for was seen before.
	defaultReuse = 5
	// defaultUtilization leaves both lanes free most of the time, so that what is compared is not how
	// queues explode.
	defaultUtilization = 0.4

	defaultTextTokens  = 256
	defaultPrefillBase = 10 * time.Millisecond // scheduling, launches, sampling
	// A 7.6B model takes 15.2 GFLOP a token; at 40% of the H100's 989 dense BF16 TFLOPS that is 38 us.
	defaultPrefillPerToken = 40 * time.Microsecond
	// 400 tokens at 20 ms, a batch of some dozens, make a mean decode of 8 s.
	defaultOutputTokens = 400
	defaultTimePerToken = 20 * time.Millisecond

	// defaultPCIe is on the careful side of what pinned memory does over x16: about 25 GB/s with PCIe 4 and
	// 50 GB/s with PCIe 5.
	defaultPCIe      = 20e9
	defaultHostCache = 4 << 30 // SGLang's pool of embeddings in host memory has this size
)

// A Config says what to simulate. Zero values mean the defaults.
type Config struct {
	// Seed determines arrivals, lengths of answers, and the default Pattern and Payload.
	Seed uint64 `json:"seed"`
	// Engines is how many there are, each with its own GPU; 0 means 4.
	Engines int `json:"engines"`
	// Requests is how many arrive; 0 means 400.
	Requests int `json:"requests"`
	// Rate is how many arrive each second, at all engines together; 0 means as many as keep the busier lane
	// of every engine busy for 40% of the time when each medium is encoded.
	Rate float64 `json:"rate"`
	// Media is what the encoder makes of every medium; zero means an image through Qwen2.5-VL-7B.
	Media encoder.Output `json:"media"`
	// Pattern says which media a request carries; zero means a pattern.UniformPool of a fifth as many media as
	// there are requests, one in each.
	Pattern pattern.Pattern `json:"pattern"`

	// TextTokens is the length of a prompt beside its media; 0 means 256.
	TextTokens int `json:"text_tokens"`
	// PrefillBase and PrefillPerToken, of text and media, make the time of a prefill; 0 means 10 ms and 40 us.
	PrefillBase     time.Duration `json:"prefill_base_ns"`
	PrefillPerToken time.Duration `json:"prefill_per_token_ns"`
	// OutputTokens is the mean length of an answer, which is distributed exponentially; 0 means 400.
	OutputTokens int `json:"output_tokens"`
	// TimePerToken is the time between two tokens of an answer; 0 means 20 ms.
	TimePerToken time.Duration `json:"time_per_token_ns"`

	// PCIeBytesPerSecond is how fast embeddings are copied between host memory and a GPU; 0 means 20e9.
	PCIeBytesPerSecond float64 `json:"pcie_bytes_per_second"`
	// HostCacheBytes bounds each engine's own host memory under MoveToHost; 0 means 4 GiB.
	HostCacheBytes int64 `json:"host_cache_bytes"`

	// Payload returns the size bytes of the embedding with that key, the same ones whenever it is asked. The
	// bytes are read until the next call. nil means noise that follows from Seed and key.
	Payload func(key string, size int64) []byte `json:"-"`
	// Progress hears of every request that finished; all counts each request once for every policy. nil: nobody does.
	Progress func(done, all int) `json:"-"`
}

// withDefaults puts the defaults in the place of zero values.
func (c Config) withDefaults() (Config, error) {
	if c.Media.Shape == nil {
		media, err := encoder.ByName(defaultMedia)
		if err != nil {
			return c, fmt.Errorf("find default media: %w", err)
		}
		c.Media = media
	}
	setDefault(&c.Engines, defaultEngines)
	setDefault(&c.Requests, defaultRequests)
	setDefault(&c.TextTokens, defaultTextTokens)
	setDefault(&c.PrefillBase, defaultPrefillBase)
	setDefault(&c.PrefillPerToken, defaultPrefillPerToken)
	setDefault(&c.OutputTokens, defaultOutputTokens)
	setDefault(&c.TimePerToken, defaultTimePerToken)
	setDefault(&c.PCIeBytesPerSecond, defaultPCIe)
	setDefault(&c.HostCacheBytes, defaultHostCache)
	if c.Pattern.Media == nil {
		c.Pattern = pattern.UniformPool(c.Seed, c.Requests/defaultReuse, 1)
	}
	if c.Payload == nil {
		c.Payload = noise(c.Seed)
	}
	if err := c.validate(); err != nil {
		return c, err
	}
	setDefault(&c.Rate, defaultUtilization*float64(c.Engines)/c.busierLane().Seconds())
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	for _, f := range []struct {
		name  string
		value float64
		least float64
	}{
		{"engines", float64(c.Engines), 1},
		{"requests", float64(c.Requests), 1},
		{"rate", c.Rate, 0},
		{"text tokens", float64(c.TextTokens), 0},
		{"prefill base", float64(c.PrefillBase), 0},
		{"prefill per token", float64(c.PrefillPerToken), 0},
		{"output tokens", float64(c.OutputTokens), 0},
		{"time per token", float64(c.TimePerToken), 0},
		{"PCIe bytes per second", c.PCIeBytesPerSecond, 1},
		{"host cache bytes", float64(c.HostCacheBytes), 0},
	} {
		if !(f.value >= f.least) { // NaN is refused as well
			return fmt.Errorf("configure simulation: %s must be at least %v, not %v", f.name, f.least, f.value)
		}
	}
	if len(c.Media.Shape) != 2 || c.Media.Size() <= 0 {
		return fmt.Errorf("configure simulation: media must have a shape of tokens x width, not %v", c.Media.Shape)
	}
	return nil
}

// busierLane returns the mean time for which a request keeps an engine's encoder or prefill, whichever is
// longer, when none of its media was seen before.
func (c Config) busierLane() time.Duration {
	var media int
	for n := range c.Requests {
		media += len(c.Pattern.Media(n))
	}
	encode := c.Media.Cost() * time.Duration(media)
	prefill := c.prefill(0)*time.Duration(c.Requests) + c.PrefillPerToken*time.Duration(int64(media)*c.Media.Tokens())
	return max(encode, prefill) / time.Duration(c.Requests)
}

// prefill returns the time of a prefill with so many media.
func (c Config) prefill(media int) time.Duration {
	tokens := int64(c.TextTokens) + int64(media)*c.Media.Tokens()
	return c.PrefillBase + time.Duration(tokens)*c.PrefillPerToken
}

// copyTime returns how long embeddings take over PCIe, one after the other.
func (c Config) copyTime(embeddings int) time.Duration {
	return time.Duration(embeddings) * seconds(float64(c.Media.Size())/c.PCIeBytesPerSecond)
}

// noise returns a Payload. It keeps one buffer.
func noise(seed uint64) func(string, int64) []byte {
	var buf []byte
	return func(key string, size int64) []byte {
		if int64(len(buf)) < size {
			buf = make([]byte, size)
		}
		of := sha256.Sum256(append(binary.LittleEndian.AppendUint64(nil, seed), key...))
		_, _ = rand.NewChaCha8(of).Read(buf[:size]) // never fails
		return buf[:size]
	}
}
