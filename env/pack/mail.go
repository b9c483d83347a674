package pack

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"

	"appliance/internal/remedy"
)

// Mail is an archive on its way to those who keep it.
type Mail struct {
	Server         string // host, or host:port; the port is 25, or 587 with a user; 465 is TLS from the start
	User, Password string // empty for a server that asks for none
	From           string
	To             []string
	Subject        string
	Body           string
	Attachment     Output // encrypted
}

// mailLimit bounds a delivery, however large and slow.
const mailLimit = 5 * time.Minute

const (
	portRelay      = 25
	portSubmission = 587
	portTLS        = 465
)

// Send delivers a mail to all its recipients or to none. The connection is encrypted and the server's certificate holds,
// unless the server is this host: then TLS is used as it offers it. An attachment in clear is an error.
func Send(ctx context.Context, m Mail) error {
	if m.Attachment.Clear {
		return fmt.Errorf("cannot send %s: it is not encrypted", m.Attachment.Name)
	}
	message, err := m.message()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailLimit)
	defer cancel()
	client, err := m.client(ctx)
	if err != nil {
		return err
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		err = fmt.Errorf("cannot send by %s: %w", m.Server, orEnd(ctx, err))
		return remedy.With(err, "use a server that offers TLS with a valid certificate and accepts mail from here, or a relay on this host")
	}
	// Once the server has taken the mail, a failing good-bye is no failure: a second attempt would deliver it twice.
	defer func() { _ = client.CloseWithSMTPClient(connection) }()
	if err := client.SendWithSMTPClient(connection, message); err != nil {
		return fmt.Errorf("cannot send by %s: %w", m.Server, orEnd(ctx, err))
	}
	return nil
}

// orEnd prefers the reason why ctx has ended to what a connection says that was cut for it.
func orEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (m Mail) message() (*mail.Msg, error) {
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := message.From(m.From); err != nil {
		return nil, fmt.Errorf("cannot send from %q: %w", m.From, err)
	}
	if len(m.To) == 0 {
		return nil, errors.New("cannot send: there is no recipient")
	}
	if err := message.To(m.To...); err != nil {
		return nil, fmt.Errorf("cannot send to %q: %w", m.To, err)
	}
	message.Subject(m.Subject)
	message.SetDate()
	message.SetMessageID()
	message.SetBodyString(mail.TypeTextPlain, m.Body)
	// With a type given, the system's table of types is not asked, which differs from host to host.
	err := message.AttachReader(m.Attachment.Name, bytes.NewReader(m.Attachment.Data), mail.WithFileContentType("application/pgp-encrypted"))
	if err != nil {
		return nil, fmt.Errorf("cannot attach %s: %w", m.Attachment.Name, err)
	}
	return message, nil
}

// client prepares a connection that ends with ctx: the library itself only sets deadlines.
func (m Mail) client(ctx context.Context) (*mail.Client, error) {
	host, port, err := m.address()
	if err != nil {
		return nil, err
	}
	policy, config := mail.TLSMandatory, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if loopback(host) {
		// A relay on this host has a certificate of its own making, if any, and nobody in between.
		policy, config.InsecureSkipVerify = mail.TLSOpportunistic, true
	}
	dial := (&net.Dialer{}).DialContext
	if port == portTLS {
		policy, dial = mail.TLSOpportunistic, (&tls.Dialer{Config: config}).DialContext
	}
	options := []mail.Option{
		mail.WithPort(port), mail.WithTLSPolicy(policy), mail.WithTLSConfig(config), mail.WithTimeout(mailLimit), mail.WithoutRset(),
		mail.WithDialContextFunc(func(dialing context.Context, network, _ string) (net.Conn, error) {
			// The library would write an address of IPv6 without its brackets.
			conn, err := dial(dialing, network, net.JoinHostPort(host, strconv.Itoa(port)))
			if err == nil {
				context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		}),
	}
	if m.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.User), mail.WithPassword(m.Password))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("cannot send by %s: %w", m.Server, err)
	}
	return client, nil
}

func (m Mail) address() (host string, port int, err error) {
	host, service, err := net.SplitHostPort(m.Server)
	switch {
	case err != nil && m.User != "":
		return m.Server, portSubmission, nil
	case err != nil:
		return m.Server, portRelay, nil
	}
	if port, err = strconv.Atoi(service); err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("cannot send by %q: %q is no port", m.Server, service)
	}
	return host, port, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
