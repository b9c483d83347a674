package source

import "context"

// configDrive asks the drive that OpenStack attaches to an instance which cannot or shall not reach its metadata service.
func (s *search) configDrive(ctx context.Context) (*UserData, error) {
	return s.fromDrive(ctx, "config-2", []string{"config-2", "CONFIG-2"}, "openstack/latest/user_data")
}
