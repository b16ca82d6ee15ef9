package rabbitmq_test

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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/internal/memconn"
	"github.com/pocketmq/pocketmq/rabbitmq"
)

func TestOpen(t *testing.T) {
	c, err := pocketmq.Open(ctx, amqptest.NewServer(t).Listen())
	require.NoError(t, err)
	defer c.Close()
	publish(t, c, "", queue(t, c, pocketmq.Exclusive()), "1")
	_, err = pocketmq.Open(ctx, "amqps://guest:secret@pocketmq.invalid/")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
}

func TestWrongURLs(t *testing.T) {
	for _, url := range []string{
		"amqp://guest:s%zzcret@host/", "amqp://guest:secr/et@host/", "amqp://guest:se cret@host/", "http://guest:secret@host/", "",
		"amqp://guest:secret@host:99999/", "amqp://guest:secret@host:0/",
	} {
		_, err := rabbitmq.Dial(ctx, url)
		require.ErrorIs(t, err, pocketmq.ErrInvalid, url)
		assert.NotContains(t, err.Error(), "cr", "no part of the password")
	}
}

// What a URL's query says counts, or is refused.
func TestParametersOfURLs(t *testing.T) {
	srv := amqptest.NewServer(t)
	c := dial(t, srv.URL()+"?heartbeat=7&channel_max=20&auth_mechanism=plain", rabbitmq.Dialer(srv.Dial), rabbitmq.Heartbeat(time.Minute))
	defer c.Close()
	for _, info := range srv.Server().Connections() {
		assert.Equal(t, 7*time.Second, info.Heartbeat)
		assert.Equal(t, uint16(20), info.ChannelMax)
	}
	for query, want := range map[string]error{
		"hearbeat=7":               pocketmq.ErrInvalid,
		"heartbeat=often":          pocketmq.ErrInvalid,
		"heartbeat=7&heartbeat=8":  pocketmq.ErrInvalid,
		"secret":                   pocketmq.ErrInvalid,
		"certfile=a.pem":           pocketmq.ErrInvalid,
		"heartbeat=7;x=y":          pocketmq.ErrInvalid,
		"connection_timeout=30000": pocketmq.ErrNotSupported,
	} {
		_, err := rabbitmq.Dial(ctx, srv.URL()+"?"+query, rabbitmq.Dialer(srv.Dial))
		require.ErrorIs(t, err, want, query)
		assert.NotContains(t, err.Error(), "secret", "it may be a part of the password")
	}
	_, err := rabbitmq.Dial(ctx, srv.URL()+"#fragment", rabbitmq.Dialer(srv.Dial))
	require.ErrorIs(t, err, pocketmq.ErrInvalid)
}

func TestTLS(t *testing.T) {
	certificate, roots := certificate(t, "broker.example")
	b := pocketmq.New()
	defer b.Close()
	s, wrong := amqpserver.New(b)
	require.NoError(t, wrong)
	defer s.Close()
	l := memconn.Listen()
	go s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}}))

	const url = "amqps://guest:guest@broker.example/"
	c := dial(t, url, rabbitmq.Dialer(l.Dial), rabbitmq.TLS(&tls.Config{RootCAs: roots}))
	publish(t, c, "", queue(t, c), "1")
	_, err := rabbitmq.Dial(ctx, url, rabbitmq.Dialer(l.Dial))
	assert.ErrorAs(t, err, new(*tls.CertificateVerificationError), "a certificate of nobody that is trusted")
}

// certificate returns a certificate that is its own authority.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
