package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"appliance/internal/remedy"
)

// maxImportRequest bounds the body of a request to import a certificate: two PEM texts of 1 MB, as JSON escapes them.
const maxImportRequest = 4 << 20

func (s *Server) certificate(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, s.backend.Certificate())
}

func (s *Server) renewCertificate(w http.ResponseWriter, req *http.Request) {
	certificate, err := s.backend.RenewCertificate(req.Context())
	s.outcome(w, certificate, err)
}

func (s *Server) importCertificate(w http.ResponseWriter, req *http.Request) {
	asked, ok := body[ImportRequest](s, w, req, maxImportRequest)
	if !ok {
		return
	}
	certificate, err := s.backend.ImportCertificate(req.Context(), []byte(asked.Key), []byte(asked.Chain))
	s.outcome(w, certificate, err)
}

func (s *Server) storage(w http.ResponseWriter, req *http.Request) {
	storage, err := s.backend.Storage(req.Context())
	if err != nil {
		s.fail(w, http.StatusInternalServerError, err)
		return
	}
	s.reply(w, storage)
}

// body reads the request's document of limit bytes at the most; one that is no good is answered.
func body[T any](s *Server, w http.ResponseWriter, req *http.Request, limit int64) (asked T, ok bool) {
	err := json.NewDecoder(http.MaxBytesReader(w, req.Body, limit)).Decode(&asked)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		err = remedy.With(fmt.Errorf("cannot read the request: it is larger than %d bytes", limit), "check that it is the right file")
		s.fail(w, http.StatusRequestEntityTooLarge, err)
	case err != nil:
		s.fail(w, http.StatusBadRequest, fmt.Errorf("cannot read the request: %w", err))
	}
	return asked, err == nil
}

// outcome answers what was asked for, or why it could not be had.
func (s *Server) outcome(w http.ResponseWriter, answer any, err error) {
	switch {
	case errors.Is(err, ErrConflict):
		s.fail(w, http.StatusConflict, err)
	case err != nil:
		s.fail(w, http.StatusUnprocessableEntity, err)
	default:
		s.reply(w, answer)
	}
}
