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
	data := w.data()
	return []Step{
		{Name: "hostname", Check: w.hostnameDiffers, Apply: w.setHostname},
		{Name: "volumes", Check: w.volumesDiffer, Apply: w.makeVolumes, Plan: w.planVolumes, Limit: volumesLimit},
		{Name: "mounts", Check: w.volumesMounted}, // before anything is made on what may be the wrong file system
		{Name: "space", Check: w.spaceLeft},
		{Name: "data", Check: data.holds},
		relocateStep(w),
		{Name: "layout", Check: w.layoutMissing, Apply: w.makeLayout},
		{Name: "identity", Check: data.differs, Apply: data.record},
		{Name: "vault", Check: w.vaultDiffers, Apply: w.makeVault},
		{Name: "certificate", Check: w.certificateMissing, Apply: w.ensureCertificate},
		{Name: "client-ca", Check: w.clientsMissing, Apply: w.makeClients},
		{Name: "front", Check: w.frontDiffers, Apply: w.openFront},
	}
}

// AcceptData is the operator's word that what is at /data now is to be used, though it is not what was used before.
const AcceptData = StateDir + "/accept-data"

// dataSubject is the record's document on the ID of /data. The record lies on the root disk and not below /data, so that
// one can be held against the other.
const dataSubject = "data"

// identity holds the file system at /data against the one that this appliance used before: a host whose data disk was
// not mounted must not come up healthy with an empty database.
type identity struct{ *walk }

func (w *walk) data() identity { return identity{w} }

// ids returns the ID that is at /data and the one on record; "" is none.
func (d identity) ids() (have, known string, err error) {
	if have, err = (storage.Layout{System: d.sys}).ID(); err != nil {
		return "", "", err
	}
	_, err = d.recall(dataSubject, &known)
	return have, known, err
}

// holds fails when what is at /data is not what this appliance used before. There is never work to do.
func (d identity) holds(context.Context) (string, error) {
	have, known, err := d.ids()
	if err != nil || known == "" || have == known || d.sys.Exists(AcceptData) {
		return "", err
	}
	what := "it has the ID " + have
	if have == "" {
		what = "it has no ID"
	}
	return "", remedy.With(fmt.Errorf("cannot use /data: it is not the file system this appliance used before: %s, not %s", what, known),
		"mount the right one at /data (`findmnt /data` tells what is there); or, to go on with what is there now, `touch "+AcceptData+"`")
}

func (d identity) differs(context.Context) (string, error) {
	have, known, err := d.ids()
	switch {
	case err != nil:
		return "", err
	case have != known || have == "":
		return "the record does not know what is at /data", nil
	case d.sys.Exists(AcceptData):
		return AcceptData + " has served its purpose", nil
	}
	return "", nil
}

// record takes the operator's word back only when it is recorded, so that a crash in between costs nothing.
func (d identity) record(context.Context) error {
	have, known, err := d.ids()
	if err == nil && have != known {
		err = d.remember(dataSubject, have)
	}
	if err != nil {
		return err
	}
	return d.sys.Remove(AcceptData)
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
		return fmt.Sprintf("it is %q and should be %q", have, domain), nil
	}
	return "", nil
}

// setHostname never fails: an application serves under a wrong host name too.
func (w *walk) setHostname(ctx context.Context) error {
	doc, err := w.environment()
	if err != nil {
		return err
	}
	domain := doc.Settings().Domain
	if w.sys.Real() {
		_, err = w.sys.Command(ctx, "hostnamectl", "set-hostname", domain)
	} else {
		err = w.sys.WriteFile(hostnamePath, []byte(domain+"\n"), 0o644)
	}
	if err != nil {
		w.log.Warn("the host keeps its name until the next start", "err", err, "todo", "see why `hostnamectl set-hostname "+domain+"` fails")
	}
	return nil
}
