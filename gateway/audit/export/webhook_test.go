package export_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"shoal/gateway/audit/export"
)

// The expected value was made by: printf '1700000000.{"a":1}\n' | openssl dgst -sha256 -hmac 'a secret of some length'
func TestSign(t *testing.T) {
	const want = "v1=304acc43564234dc449ab1929a3cd15a669b419c1c0c4a9fbf6fc4d160613681"
	if got := export.Sign([]byte(testSecret), "1700000000", []byte("{\"a\":1}\n")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Every answer but 2xx is an error that says which, redirects are not followed, and no error tells the URL.
func TestWebhookAnswers(t *testing.T) {
	var elsewhere atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer other.Close()
	for _, status := range []int{200, 202, 204, 301, 302, 307, 308, 400, 401, 403, 413, 429, 500, 503} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(status)
		}))
		c := export.Config{Kind: export.Webhook, URL: s.URL + "/TOKEN", Plaintext: true, SecretFile: writeFile(t, "secret", testSecret, 0o600)}
		err := open(t, c).Deliver(t.Context(), batch(1, 1, ""))
		s.Close()
		if (err == nil) != (status/100 == 2) {
			t.Errorf("answer %d: %v", status, err)
		}
		if err := open(t, c).Deliver(t.Context(), batch(1, 1, "")); err == nil || strings.Contains(err.Error(), "TOKEN") {
			t.Errorf("nobody there: %v", err)
		}
	}
	if elsewhere.Load() {
		t.Error("a redirect was followed")
	}
}
