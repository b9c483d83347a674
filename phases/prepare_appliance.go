package phases

import (
	"context"
	"fmt"
	"os"
	"strings"

	"appliance/internal/remedy"
	"appliance/storage"
)

// prepareAppliance makes the host what the environment says.
func prepareAppliance(w *walk) []Step {
	layout := storage.Layout{System: w.sys}
	return []Step{
		{Name: "hostname", Check: w.hostnameDiffers, Apply: w.setHostname},
		{Name: "layout", Check: func(context.Context) (string, error) {
			missing, err := layout.Missing()
			if len(missing) == 0 {
				return "", err
			}
			return "missing: " + strings.Join(missing, ", "), err
		}, Apply: func(context.Context) error {
			return remedy.With(layout.Make(), "make /data, /volatile and /app writable and free space on them")
		}},
	}
}

const hostnamePath = "/etc/hostname"

func (w *walk) hostnameDiffers(context.Context) (string, error) {
	doc, err := w.environment()
	if err != nil {
		return "", err
	}
	domain := doc.Settings().Domain
	if domain == "localhost" { // the default: a host keeps its own name
		return "", nil
	}
	file, _ := w.sys.ReadFile(hostnamePath) // no file is another name
	if have := strings.TrimSpace(string(file)); have != domain {
		return fmt.Sprintf("it is %q and should be %q", have, domain), nil
	}
	if !w.sys.Real() {
		return "", nil
	}
	if have, err := os.Hostname(); err != nil || have != domain {
		return fmt.Sprintf("it is %q and should be %q", have, domain), err
	}
	return "", nil
}

func (w *walk) setHostname(ctx context.Context) error {
	doc, err := w.environment()
	if err != nil {
		return err
	}
	domain := doc.Settings().Domain
	if !w.sys.Real() {
		return w.sys.WriteFile(hostnamePath, []byte(domain+"\n"), 0o644)
	}
	_, err = w.sys.Command(ctx, "hostnamectl", "set-hostname", domain)
	return remedy.With(err, "set the host's name by hand (`hostnamectl set-hostname "+domain+"`) and see why that fails")
}
