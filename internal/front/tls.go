package front

import (
	"crypto/tls"
	"errors"
	"slices"
)

// protocolACME is what an authority asks for that validates by TLS-ALPN-01 (RFC 8737).
const protocolACME = "acme-tls/1"

// newTLS makes the configuration that all handshakes begin with; its ticket keys serve the others that it leads to.
func (s *Server) newTLS() *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Of TLS 1.2 only what has forward secrecy and authenticated encryption; TLS 1.3 has nothing else.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: s.certificate,
	}
	acme := base.Clone()
	acme.NextProtos = []string{protocolACME}
	acme.GetCertificate = s.challengeCertificate
	acme.SessionTicketsDisabled = true
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, protocolACME) {
			return acme, nil
		}
		return s.view.Load().clients.config(), nil
	}
	return base
}

// certificate is the site's, whatever name was asked for: who comes by another one shall see whose site it is.
func (s *Server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.view.Load().certificate; c != nil {
		return c, nil
	}
	return nil, errors.New("cannot serve TLS: there is no certificate yet")
}

func (s *Server) challengeCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.view.Load().alpn[hostOnly(hello.ServerName)]; c != nil {
		return c, nil
	}
	return nil, errors.New("cannot answer a TLS-ALPN-01 challenge: nobody has asked for that name")
}

// asking is base with a request for a client certificate. Who showed none cannot resume: nobody would be asked
// for it again.
func asking(base *tls.Config, c *clients) *tls.Config {
	config := base.Clone()
	config.GetConfigForClient = nil
	config.ClientAuth = tls.RequestClientCert
	config.ClientCAs = c.pool
	config.WrapSession = func(cs tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
		if len(cs.PeerCertificates) > 0 {
			state.Extra = append(state.Extra, []byte(certified))
		}
		return base.EncryptTicket(cs, state)
	}
	config.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		state, err := base.DecryptTicket(ticket, cs)
		if state == nil || !slices.ContainsFunc(state.Extra, isCertified) {
			return nil, err
		}
		return state, err
	}
	return config
}

// certified marks a ticket whose owner has shown a certificate.
const certified = "appliance: certified"

func isCertified(extra []byte) bool { return string(extra) == certified }
