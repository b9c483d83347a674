package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"appliance/env/yaml11"
	"appliance/internal/disc"
	"appliance/internal/remedy"
)

// seedLabel is how cloud-init's NoCloud datasource, and our own, find the drive.
const seedLabel = "cidata"

// Seed answers a NoCloud seed: an iso9660 image labelled cidata with user-data, meta-data and the extra files.
// User-data whose first line is not #cloud-config is an error, because cloud-init would pass over it; so are meta-data
// without an instance-id.
func Seed(made time.Time, userData, metaData []byte, extra ...disc.File) ([]byte, error) {
	if err := errors.Join(checkUserData(userData), checkMetaData(metaData)); err != nil {
		return nil, fmt.Errorf("cannot make a seed: %w", err)
	}
	files := append([]disc.File{{Name: "user-data", Data: userData}, {Name: "meta-data", Data: metaData}}, extra...)
	var image bytes.Buffer
	if err := disc.WriteISO(&image, seedLabel, made, files); err != nil {
		return nil, err
	}
	return image.Bytes(), nil
}

// cloudConfig is the first line of an environment.
const cloudConfig = "#cloud-config"

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(bytes.TrimRight(line, " \t\r"))
}

func checkUserData(text []byte) error {
	switch line := firstLine(text); {
	case line == cloudConfig:
		return nil
	case strings.HasPrefix(line, "\ufeff"):
		return remedy.With(errors.New("cloud-init would pass over the environment: it begins with a byte order mark"), "save it without")
	case strings.HasPrefix(line, cloudConfig):
		return errLonger()
	default:
		return remedy.With(errors.New("cloud-init would pass over a file that does not begin with #cloud-config"), "make #cloud-config its first line")
	}
}

// errLonger is the answer to files of another kind, such as #cloud-config-archive.
func errLonger() error {
	err := errors.New("it is no #cloud-config: its first line has more than that, as in #cloud-config-archive")
	return remedy.With(err, "make #cloud-config, and nothing else, its first line")
}

// checkMetaData wants what cloud-init needs: by the instance-id it tells whether a host is new.
func checkMetaData(text []byte) error {
	const advice = "write a line such as 'instance-id: host-1' into it, or leave the meta-data out"
	document, err := yaml11.Parse("meta-data", text)
	var report *yaml11.Report
	if errors.As(err, &report) {
		problem := report.Problems[0]
		problem.Remedy = "" // it is one for environments
		err = errors.New(problem.String())
	}
	if err != nil {
		return remedy.With(err, advice)
	}
	if id := document.Top.Get("instance-id"); id == nil || id.Kind != yaml11.Text || strings.TrimSpace(id.Text) == "" {
		return remedy.With(errors.New("the meta-data have no instance-id that is text"), advice)
	}
	return nil
}

// MetaData answers the meta-data of a seed: the domain as local-hostname, and an instance-id made of the domain and the
// digest of the user-data. So cloud-init takes a host for a new instance, and configures it again, exactly when its
// environment has changed; the same environment packaged anew changes nothing.
func MetaData(domain string, userData []byte) []byte {
	sum := sha256.Sum256(userData)
	return fmt.Appendf(nil, "instance-id: %s\nlocal-hostname: %s\n",
		strconv.Quote(fmt.Sprintf("%s-%x", domain, sum[:8])), strconv.Quote(domain))
}
