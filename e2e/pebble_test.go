package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/e2e/cluster"
)

// pebbleRelease is that of Let's Encrypt's ACME server for tests. It is installed into the user's cache.
const pebbleRelease = "v2.10.3"

// pebblePrograms gives the folder with pebble and its DNS server, which it installs.
var pebblePrograms = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "shoal-clients", "pebble-"+pebbleRelease)
	for _, name := range []string{"pebble", "pebble-challtestsrv"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			continue
		}
		cmd := exec.Command("go", "install", "github.com/letsencrypt/pebble/v2/cmd/"+name+"@"+pebbleRelease)
		cmd.Env = append(os.Environ(), "GOBIN="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	return dir, nil
})

// pebble is a running ACME server. It looks for proofs at loopback, whatever a name is.
type pebble struct {
	t         *testing.T
	directory string
	caFile    string // of its own TLS
	roots     *x509.CertPool
	out       *lockedBuffer
	stop      func()
}

// lockedBuffer is what a process prints.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startPebble runs pebble, which looks for proofs of either kind at an address and gives certificates of a life.
func startPebble(t *testing.T, httpAddr, tlsAddr string, life time.Duration) *pebble {
	t.Helper()
	bin, err := pebblePrograms()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("install pebble: %v: %s", err, bin)
		}
		t.Skipf("pebble cannot be installed: %v", err)
	}
	dir, dns, listen, manage := t.TempDir(), cluster.FreeAddr(t), cluster.FreeAddr(t), cluster.FreeAddr(t)
	p := &pebble{t: t, directory: "https://" + listen + "/dir", caFile: filepath.Join(dir, "pebble.pem"), out: new(lockedBuffer)}
	own := issue(t, p.caFile, filepath.Join(dir, "pebble.key"), time.Now().Add(time.Hour))
	port := func(addr string) int {
		_, text, err := net.SplitHostPort(addr)
		must(t, err)
		n, err := strconv.Atoi(text)
		must(t, err)
		return n
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage, "certificate": p.caFile, "privateKey": filepath.Join(dir, "pebble.key"),
		"httpPort": port(httpAddr), "tlsPort": port(tlsAddr), "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "all", "validityPeriod": int(life.Seconds())}},
	}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "pebble.json"), config, 0o600))
	run := func(env []string, name string, args ...string) func() {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), p.out, p.out
		must(t, cmd.Start())
		return sync.OnceFunc(func() {
			// The end of the test is the end of the program, however it ends.
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait()
		})
	}
	stopDNS := run(nil, "pebble-challtestsrv", "-dnsserver", dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", cluster.FreeAddr(t))
	t.Cleanup(stopDNS)
	p.stop = run([]string{"PEBBLE_VA_NOSLEEP=1"}, "pebble", "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", dns)
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("pebble printed:\n%s", p.out)
		}
	})
	trust := x509.NewCertPool()
	trust.AddCert(own)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableKeepAlives: true}}
	p.roots = x509.NewCertPool()
	eventually(t, time.Minute, func() error {
		resp, err := client.Get("https://" + manage + "/roots/0")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		p.roots.AppendCertsFromPEM(text)
		return err
	})
	return p
}

// issued counts the certificates that were given.
func (p *pebble) issued() int { return strings.Count(p.out.String(), "Issued certificate serial") }
