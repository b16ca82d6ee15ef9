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
	} {
		_, err := rabbitmq.Dial(ctx, url)
		require.ErrorIs(t, err, pocketmq.ErrInvalid, url)
		assert.NotContains(t, err.Error(), "cr", "no part of the password")
	}
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
