package edge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// rsaBitsMin is the least size of an RSA key (NIST SP 800-57 part 1, section 5.6.1: 112 bits of strength).
	rsaBitsMin = 2048
	// fileBytesMax bounds a file of certificates or with a key.
	fileBytesMax = 1 << 20
	// expiryNear is for how long before its end an operator is told of a certificate; of a short-lived one
	// it is a part of its life.
	expiryNear = 14 * 24 * time.Hour
	// fileShare and obtainedShare are the part of a short life, one in so many, that is near its end. What is obtained
	// by ACME is renewed in the last third.
	fileShare     = 3
	obtainedShare = 6
)

// Pair names the files of a certificate chain and of its key, both PEM. The key file must be readable by
// its owner alone.
type Pair struct{ CertFile, KeyFile string }

// load reads and checks a pair. The error names the file at fault and what is wrong with it.
func (p Pair) load(now time.Time) (*tls.Certificate, error) {
	key, err := ReadFile(p.KeyFile, true)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %w", err)
	}
	chain, err := ReadFile(p.CertFile, false)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate %s with key %s: %w", p.CertFile, p.KeyFile, err)
	}
	if err := check(cert.Leaf, now); err != nil {
		return nil, fmt.Errorf("TLS certificate %s %w", p.CertFile, err)
	}
	return &cert, nil
}

// ReadFile reads a file of at most 1 MiB, and refuses a secret that others than its owner can read.
func ReadFile(path string, secret bool) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); secret && mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o and others can read it: run chmod 600 %s", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, fileBytesMax)
	}
	return text, nil
}

// ReadSecret reads a secret of at least so many bytes: such a file, without the line end at its end.
func ReadSecret(path string, least int) ([]byte, error) {
	text, err := ReadFile(path, true)
	if err != nil {
		return nil, err
	}
	secret := bytes.TrimRight(text, "\r\n")
	if len(secret) < least {
		return nil, fmt.Errorf("%s holds less than %d bytes", path, least)
	}
	return secret, nil
}

// check says what speaks against serving a certificate, in words that follow its name.
func check(leaf *x509.Certificate, now time.Time) error {
	const takes = "use RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519"
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < rsaBitsMin {
			return fmt.Errorf("has an RSA key of %d bits: %s", bits, takes)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("has a key on the curve %s: %s", key.Curve.Params().Name, takes)
		}
	case ed25519.PublicKey:
	default:
		return errors.New("has a key of an unknown kind: " + takes)
	}
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("expired at %s: renew it", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("is not valid before %s: look at the clock of this machine", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// selfSigned says whether a certificate vouches for itself alone.
func selfSigned(leaf *x509.Certificate) bool {
	return leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
}

// nearEnd says whether an operator must hear of a certificate's end: in its last days, or the last of share parts of a
// short life.
func nearEnd(leaf *x509.Certificate, now time.Time, share time.Duration) bool {
	near := min(expiryNear, leaf.NotAfter.Sub(leaf.NotBefore)/share)
	return leaf.NotAfter.Sub(now) < near
}
