package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/remedy"
)

func TestCertificateAndStorage(t *testing.T) {
	s := serve(t)
	certificate, err := s.client.Certificate(t.Context())
	if diff := cmp.Diff(s.Certificate(), certificate); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if renewed, err := s.client.RenewCertificate(t.Context()); err != nil || renewed.Source != "acme" {
		t.Errorf("renew answers %+v, %v", renewed, err)
	}
	if imported, err := s.client.ImportCertificate(t.Context(), []byte("key\n"), []byte("chain\n")); err != nil || imported.Source != "acme" {
		t.Errorf("import answers %+v, %v", imported, err)
	}
	if diff := cmp.Diff([]string{"renew", `import "key\n" "chain\n"`}, s.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	storage, err := s.client.Storage(t.Context())
	want, _ := s.Storage(t.Context())
	if diff := cmp.Diff(want, storage); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestCertificateRefusals(t *testing.T) {
	s := serve(t)
	s.answer = remedy.With(fmt.Errorf("cannot renew: %w: one is under way", ErrConflict), "wait for it")
	if code, problem := s.ask(t, "POST", "/v1/certificate/renew"); code != http.StatusConflict || problem.Remedy != "wait for it" {
		t.Errorf("a conflict is %d %+v", code, problem)
	}
	s.answer = remedy.With(errors.New("cannot use the key: it belongs to another certificate"), "import the key of this certificate")
	_, err := s.client.ImportCertificate(t.Context(), []byte("key"), []byte("chain"))
	if err == nil || err.Error() != "cannot use the key: it belongs to another certificate" || remedy.Of(err) == "" {
		t.Errorf("a pair that is no good: %v (%s)", err, remedy.Of(err))
	}
	if _, err := s.client.Storage(t.Context()); err == nil {
		t.Error("storage that cannot be told is told")
	}
	s.asked = nil
	if code, problem := s.ask(t, "POST", "/v1/certificate/import"); code != http.StatusBadRequest || problem.Message == "" {
		t.Errorf("no body is %d %+v", code, problem)
	}
	_, err = s.client.ImportCertificate(t.Context(), nil, []byte(strings.Repeat("x", maxImportRequest)))
	if err == nil || !strings.Contains(err.Error(), "larger than 4194304 bytes") || remedy.Of(err) == "" {
		t.Errorf("a huge file: %v (%s)", err, remedy.Of(err))
	}
	if len(s.asked) > 0 {
		t.Errorf("the backend was asked for %q", s.asked)
	}
}
