package clients

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// flaky stands between a client and the store. Of every seven requests it answers one with
// 503 SlowDown, and lets one be carried out and cuts the connection instead of answering.
// Clients are to try again by themselves, as they do against AWS.
func (w *workshop) flaky() string {
	w.Helper()
	store, err := url.Parse(w.store.Endpoint())
	w.must(err)
	// The signature covers the host that the client asked, which the proxy leaves as it is.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = store.Scheme, store.Host, r.In.Host
	}}
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) % 7 {
		case 2:
			io.Copy(io.Discard, r.Body)
			rw.Header().Set("Content-Type", "application/xml")
			rw.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(rw, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		case 5:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(rw, r)
		}
	}))
	w.Cleanup(s.Close)
	return s.URL
}
