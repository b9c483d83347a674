package disk

import (
	"context"
	"fmt"
)

// opener is a unit that opens and mounts early what only we can open, so that the engine, whose data may be on it, comes after.
type opener struct{}

const openerPath = unitDir + "/appliance-volumes.service"

func (o *opener) name() string    { return "unit that opens volumes at boot" }
func (o *opener) device() string  { return "" }
func (o *opener) needs() []string { return nil }
func (o *opener) makes() []string { return nil }

// render makes the unit. It does not fail where volumes stay locked: the appliance, which tries again, says why.
func (o *opener) render(binary string) []byte {
	return fmt.Appendf(nil, unitHead+`After=local-fs.target cloud-init-local.service
Before=docker.service containerd.service podman.service appliance.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-"%s" storage apply --yes
TimeoutStartSec=10min

[Install]
WantedBy=multi-user.target
`, "Encrypted volumes of the appliance", binary)
}

func (o *opener) see(_ context.Context, r *run, _ *Device) (Step, error) {
	binary, err := r.sys.Executable()
	if err != nil || !r.differs(openerPath, o.render(binary)) {
		return Step{State: Done, Why: "it is in place"}, err
	}
	return Step{State: ToDo, Why: "it is not in place", Commands: []string{"write " + openerPath}}, nil
}

func (o *opener) take(_ context.Context, r *run, _ *Device) error {
	binary, err := r.sys.Executable()
	if err != nil {
		return err
	}
	return r.place(openerPath, o.render(binary), "multi-user.target")
}
