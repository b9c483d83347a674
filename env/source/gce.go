package source

import (
	"context"
	"net/http"
)

// gce asks by name, which only Google's own resolver knows. A resolver that answers every name leads elsewhere: whatever
// is there does not say that it is Google's. An overloaded one might not either, so 5xx still counts as its own.
func gce(ctx context.Context, w *web, base string) (*answer, error) {
	a, err := w.get(ctx, base+"/computeMetadata/v1/instance/attributes/user-data", http.Header{"Metadata-Flavor": {"Google"}})
	if err != nil {
		return nil, err
	}
	if a.speaker() != "gce" && a.status < 500 {
		return nil, absent{why: a.address + " is not served by Google: its answer has no Metadata-Flavor: Google"}
	}
	return a, nil
}
