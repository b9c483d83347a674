package source

import "context"

func digitalOcean(ctx context.Context, w *web, base string) (*answer, error) {
	return w.get(ctx, base+"/metadata/v1/user-data", nil)
}
