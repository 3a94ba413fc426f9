package gateway_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"shoal/gateway"
	"shoal/node/api"
	"shoal/node/apitest"
)

// The version of TLS by which a proxy came says nothing of a client that came to the proxy without.
func TestTLSVersionBehindProxy(t *testing.T) {
	certFile, keyFile, pool := selfSigned(t)
	g := start(t, func(c *gateway.Config) {
		c.Certificates = []gateway.CertificatePair{{CertFile: certFile, KeyFile: keyFile}}
		c.TrustedProxies = []string{"127.0.0.0/8"}
		people := c.Identities.(*apitest.Identities)
		for _, change := range []api.IdentityChange{
			{Kind: "policy", Name: "new-tls", Do: "create", Document: `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NumericGreaterThanEquals":{"s3:TlsVersion":"1.2"}}}}`},
			{Kind: "user", Name: "alice", Do: "create"},
			{Kind: "user", Name: "alice", Do: "attach", Policy: "new-tls"},
		} {
			if err := people.ChangeIdentity(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
		people.PutKey(api.IssuedKey{Secret: testSecret, AccessKey: api.AccessKey{AccessKeyID: "alice-key", Principal: "user:alice"}})
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	for proto, want := range map[string]int{"": 200, "https": 200, "http": 403} {
		c := call{target: "/", id: "alice-key"}
		if proto != "" {
			c.header = http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {proto}}
		}
		r := c.request(t, g.s3)
		r.URL.Scheme = "https"
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want || want == 200 && !strings.Contains(string(text), "ListAllMyBucketsResult") {
			t.Errorf("proto %q: %s %s %v", proto, resp.Status, text, err)
		}
	}
}
