package amqpserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/memconn"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// certificate returns a certificate that is its own authority.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestExternalLogin(t *testing.T) { // CONN-16
	ours, roots := certificate(t, "server")
	theirs, clients := certificate(t, "alice")
	b := pocketmq.New()
	defer b.Close()
	s, err := amqpserver.New(b, amqpserver.User("alice", ""))
	require.NoError(t, err)
	defer s.Close()
	l := memconn.Listen()
	go s.Serve(tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{ours}, ClientCAs: clients, ClientAuth: tls.VerifyClientCertIfGiven,
	}))
	connect := func(certificates ...tls.Certificate) *client {
		nc, err := l.Dial("", "")
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		secure := tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "server", Certificates: certificates})
		return &client{t: t, nc: secure, r: wire.NewReader(secure)}
	}

	c := connect(theirs)
	c.write([]byte(wire.ProtocolHeader))
	require.Equal(t, "ANONYMOUS AMQPLAIN PLAIN EXTERNAL", expect[*wire.ConnectionStart](c, 0).Mechanisms)
	c.send(0, &wire.ConnectionStartOk{Mechanism: "EXTERNAL"})
	expect[*wire.ConnectionTune](c, 0)
	require.Equal(t, "alice", s.Connections()[0].User)

	c = connect()
	c.write([]byte(wire.ProtocolHeader))
	require.Equal(t, "ANONYMOUS AMQPLAIN PLAIN", expect[*wire.ConnectionStart](c, 0).Mechanisms)
}
