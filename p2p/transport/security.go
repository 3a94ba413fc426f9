package transport

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"shoal/p2p"
	"shoal/p2p/member"
)

const (
	securityID = protocol.ID("/shoal/tls/1")

	// The planes have ALPN names of their own, so that no connection is taken for one of another.
	alpnControl = string(yamux.ID)
	alpnBulk    = "shoal-bulk/1"
	alpnJoin    = "shoal-join/1"

	handshakeTimeout = 10 * time.Second
	// certLife is long because it is the credential inside that expires.
	certLife = 100 * 365 * 24 * time.Hour
)

// credentialOID marks the certificate extension with the credential. It lies in the arc that
// anyone may use with a random number; crypto/x509 reads arcs of up to 31 bits.
var credentialOID = asn1.ObjectIdentifier{2, 25, 1873205361, 924118597}

// security is libp2p's TLS handshake with the membership credential as an extension of the
// certificate, checked on both sides before the handshake ends.
type security struct {
	id      *Identity
	trust   *member.Trust
	door    *door // nil for one who joins
	timeout time.Duration
	current atomic.Pointer[libp2ptls.Identity]
	shown   atomic.Pointer[[]byte] // the credential in current
}

var _ sec.SecureTransport = (*security)(nil)

// newSecurity shows credential to peers. A nil credential makes plain libp2p certificates, as one
// who joins has.
func newSecurity(id *Identity, trust *member.Trust, credential []byte) (*security, error) {
	s := &security{id: id, trust: trust, timeout: handshakeTimeout}
	return s, s.setCredential(credential)
}

// setCredential makes the handshakes from now on show another credential.
func (s *security) setCredential(credential []byte) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{SerialNumber: serial.String()},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(certLife),
	}
	if credential != nil {
		tmpl.ExtraExtensions = []pkix.Extension{{Id: credentialOID, Value: credential}}
	}
	identity, err := libp2ptls.NewIdentity(s.id.key, libp2ptls.WithCertTemplate(tmpl))
	if err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	s.current.Store(identity)
	s.shown.Store(&credential)
	return nil
}

// ID is the name under which libp2p negotiates this handshake.
func (s *security) ID() protocol.ID { return securityID }

// SecureInbound is the handshake of the control plane, as its server.
func (s *security) SecureInbound(ctx context.Context, conn net.Conn, p peer.ID) (sec.SecureConn, error) {
	g := guardedOf(conn)
	g.take()
	c, err := s.secure(ctx, newSocket(conn, readBufferControl, true), p, alpnControl, true)
	g.settle(err)
	return c, err
}

// SecureOutbound is the handshake of the control plane, as its client. That it returns does not
// mean that the server accepted us: the first answer read does.
func (s *security) SecureOutbound(ctx context.Context, conn net.Conn, p peer.ID) (sec.SecureConn, error) {
	return s.secure(ctx, newSocket(conn, readBufferControl, true), p, alpnControl, false)
}

// secure runs a handshake between members and closes sock if it fails.
func (s *security) secure(ctx context.Context, sock *socket, p peer.ID, alpn string, server bool) (*secureConn, error) {
	var cred member.Credential
	check := func(leaf *x509.Certificate, remote peer.ID) (err error) {
		cred, err = s.trust.Check(credentialOf(leaf), p2p.NodeID(remote.String()))
		return err
	}
	c, err := s.handshake(ctx, sock, p, alpn, server, check)
	if err != nil {
		return nil, err
	}
	if err := s.door.enter(ctx, cred); err != nil {
		c.Close()
		return nil, fmt.Errorf("peer %s: %w", cred.Peer.Short(), err)
	}
	c.cred = cred
	return c, nil
}

// handshake runs TLS 1.3. check sees the peer's certificate after libp2p has verified it, and
// before the peer's signature over the handshake: it must not act on what it sees.
func (s *security) handshake(ctx context.Context, sock *socket, p peer.ID, alpn string, server bool,
	check func(leaf *x509.Certificate, remote peer.ID) error) (*secureConn, error) {

	conf, keys := s.current.Load().ConfigForPeer(p)
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{alpn}
	conf.DynamicRecordSizingDisabled = true
	verify := conf.VerifyPeerCertificate
	var key crypto.PubKey
	var remote peer.ID
	conf.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if err := verify(raw, chains); err != nil {
			return err
		}
		var err error
		key = <-keys
		if remote, err = peer.IDFromPublicKey(key); err != nil {
			return err
		}
		leaf, err := x509.ParseCertificate(raw[0])
		if err != nil {
			return err
		}
		return check(leaf, remote)
	}
	tc := tls.Client(sock, conf)
	if server {
		tc = tls.Server(sock, conf)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := tc.HandshakeContext(ctx)
	if err == nil && tc.ConnectionState().NegotiatedProtocol != alpn {
		err = errors.New("peer speaks another protocol")
	}
	if err != nil {
		sock.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	sock.grow()
	return &secureConn{Conn: tc, sock: sock, local: s.id.pid, remote: remote, key: key, alpn: alpn}, nil
}

// credentialOf returns the credential extension, or nil.
func credentialOf(leaf *x509.Certificate) []byte {
	for _, ext := range leaf.Extensions {
		if ext.Id.Equal(credentialOID) {
			return ext.Value
		}
	}
	return nil
}

// secureConn is a TLS connection to a proved peer. Its Write sends all records in one go.
type secureConn struct {
	*tls.Conn
	sock   *socket
	local  peer.ID
	remote peer.ID
	key    crypto.PubKey
	cred   member.Credential
	alpn   string
}

var _ sec.SecureConn = (*secureConn)(nil)

func (c *secureConn) Write(b []byte) (int, error) {
	c.sock.cork()
	n, err := c.Conn.Write(b)
	if ferr := c.sock.uncork(); err == nil && ferr != nil {
		return 0, ferr
	}
	return n, err
}

// writeTwo writes a and then b, collected as one.
func (c *secureConn) writeTwo(a, b []byte) error {
	c.sock.cork()
	_, err := c.Conn.Write(a)
	if err == nil && len(b) > 0 {
		_, err = c.Conn.Write(b)
	}
	return errors.Join(err, c.sock.uncork())
}

func (c *secureConn) LocalPeer() peer.ID             { return c.local }
func (c *secureConn) RemotePeer() peer.ID            { return c.remote }
func (c *secureConn) RemotePublicKey() crypto.PubKey { return c.key }

func (c *secureConn) ConnState() network.ConnectionState {
	return network.ConnectionState{
		StreamMultiplexer:         protocol.ID(c.alpn),
		Security:                  securityID,
		Transport:                 "tcp",
		UsedEarlyMuxerNegotiation: true,
	}
}
