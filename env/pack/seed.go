package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"appliance/internal/disc"
	"appliance/internal/remedy"
)

// seedLabel is how cloud-init's NoCloud datasource, and our own, find the drive.
const seedLabel = "cidata"

// Seed answers a NoCloud seed: an iso9660 image labelled cidata with user-data, meta-data and the extra files.
// User-data that does not begin with #cloud-config is an error, because cloud-init would pass over it.
func Seed(made time.Time, userData, metaData []byte, extra ...disc.File) ([]byte, error) {
	if !bytes.HasPrefix(userData, []byte("#cloud-config")) {
		err := errors.New("cannot make a seed: cloud-init would pass over a file that does not begin with #cloud-config")
		return nil, remedy.With(err, "make #cloud-config its first line")
	}
	files := append([]disc.File{{Name: "user-data", Data: userData}, {Name: "meta-data", Data: metaData}}, extra...)
	var image bytes.Buffer
	if err := disc.WriteISO(&image, seedLabel, made, files); err != nil {
		return nil, err
	}
	return image.Bytes(), nil
}

// MetaData answers the meta-data of a seed: the domain as local-hostname, and an instance-id made of the domain and the
// digest of the user-data. So cloud-init takes a host for a new instance, and configures it again, exactly when its
// environment has changed; the same environment packaged anew changes nothing.
func MetaData(domain string, userData []byte) []byte {
	sum := sha256.Sum256(userData)
	return fmt.Appendf(nil, "instance-id: %s\nlocal-hostname: %s\n",
		strconv.Quote(fmt.Sprintf("%s-%x", domain, sum[:8])), strconv.Quote(domain))
}
