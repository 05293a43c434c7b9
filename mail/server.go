package mail

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"

	"guichet"
)

// ErrBadServer tells that the address of the mail server cannot be read. It
// never quotes the address, which may hold a password.
var ErrBadServer = &guichet.Error{
	Kind: guichet.Invalid, Code: "invalid_smtp", Field: "GUICHET_SMTP",
	Reason: "The mail server is not smtp://user:password@host:587?tls=required, or smtps://….",
}

// How a connection is protected.
const (
	tlsAtOnce = "smtps"    // from its first byte
	tlsStart  = "required" // by STARTTLS, or nothing is sent
	tlsIfAny  = "optional" // by STARTTLS when the server offers it
	tlsNever  = "none"
)

// server is the address of a mail server.
type server struct {
	host           string
	port           int
	user, password guichet.Secret
	tls            string
	roots          *x509.CertPool // nil: the system's
}

// parseServer reads an address:
//
//	smtp://[user:password@]host[:587][?tls=required|optional|none][&ca=file.pem]
//	smtps://[user:password@]host[:465][?ca=file.pem]
//
// Without tls=, STARTTLS is required, save for a server on this very machine.
// A password is never sent without TLS, save to this machine: then the address
// is refused here rather than at the first letter. ca names a file of
// certificates to trust instead of the system's.
func parseServer(address guichet.Secret) (server, error) {
	u, err := url.Parse(address.Reveal())
	if err != nil {
		return server{}, badServer("it is not a URL") // err quotes it
	}
	s := server{host: u.Hostname()}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return server{}, badServer("its query cannot be read")
	}
	for name := range query {
		if name != "tls" && name != "ca" {
			return server{}, badServer("its query has a name other than tls and ca")
		}
	}
	switch {
	case s.host == "" || (u.Path != "" && u.Path != "/") || u.Fragment != "":
		return server{}, badServer("it has no host, or something after it")
	case u.Scheme == "smtps" && !query.Has("tls"):
		s.port, s.tls = 465, tlsAtOnce
	case u.Scheme == "smtp":
		s.port, s.tls = 587, query.Get("tls")
	default:
		return server{}, badServer("its scheme is neither smtp nor smtps, or smtps has tls=")
	}
	switch s.tls {
	case tlsAtOnce, tlsStart, tlsIfAny, tlsNever:
	case "":
		s.tls = tlsStart
		if s.local() {
			s.tls = tlsNever
		}
	default:
		return server{}, badServer("tls is not required, optional or none")
	}
	if port := u.Port(); port != "" {
		if s.port, err = strconv.Atoi(port); err != nil || s.port < 1 || s.port > 65535 {
			return server{}, badServer("its port is not a port")
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		s.user, s.password = guichet.Secret(u.User.Username()), guichet.Secret(password)
		if s.user == "" || s.password == "" {
			return server{}, badServer("it has a user or a password, and not both")
		}
		if !s.local() && s.tls != tlsAtOnce && s.tls != tlsStart {
			return server{}, badServer("it would send a password without requiring TLS")
		}
	}
	if ca := query.Get("ca"); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return server{}, ErrBadServer.Because(err)
		}
		s.roots = x509.NewCertPool()
		if !s.roots.AppendCertsFromPEM(pem) {
			return server{}, badServer("its ca holds no certificate")
		}
	}
	return s, nil
}

func badServer(why string) error { return ErrBadServer.Because(fmt.Errorf("%s", why)) }

// local tells whether the server is on this machine, by the names that the SMTP
// client too takes for it.
func (s server) local() bool {
	return s.host == "localhost" || s.host == "127.0.0.1" || s.host == "::1"
}

func (s server) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

func (s server) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
}
