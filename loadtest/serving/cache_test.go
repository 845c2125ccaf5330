package serving

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

func TestOutcome(t *testing.T) {
	for _, test := range []struct{ err, want error }{
		{nil, nil},
		{&client.Error{Code: api.NotFound}, errMissing},
		{fmt.Errorf("wrapped: %w", &client.Error{Code: api.NoMemory}), errRefused},
		{&client.Error{Code: api.TenantOverLimit}, errRefused},
		{&client.Error{Code: api.ExistsDifferent}, client.ErrExistsDifferent},
		{&client.Error{Code: api.TooLarge}, client.ErrTooLarge},
		{client.ErrCorrupt, client.ErrCorrupt},
		{context.Canceled, context.Canceled},
	} {
		got := outcome("put medium-7", test.err)
		if !errors.Is(got, test.want) || test.want != errMissing && errors.Is(got, errMissing) || test.want != errRefused && errors.Is(got, errRefused) {
			t.Errorf("%v is %v, want %v", test.err, got, test.want)
		}
	}
}
