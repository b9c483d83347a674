package source

import "context"

func hetzner(ctx context.Context, w *web, base string) (*answer, error) {
	return w.get(ctx, base+"/hetzner/v1/userdata", nil)
}
