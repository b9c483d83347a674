package source

import (
	"context"
	"net/http"
)

// azure asks for userData, which stays readable after the first boot, unlike customData. The service hands it out in
// base64, and an empty text where there is none.
func azure(ctx context.Context, w *web, base string) (*answer, error) {
	return w.get(ctx, base+"/metadata/instance/compute/userData?api-version=2021-01-01&format=text", http.Header{"Metadata": {"true"}})
}
