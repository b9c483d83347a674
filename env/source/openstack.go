package source

import "context"

// openStack asks Nova's own tree; it serves that of EC2 as well, but a cloud may have switched it off.
func openStack(ctx context.Context, w *web, base string) (*answer, error) {
	return w.get(ctx, base+"/openstack/latest/user_data", nil)
}
