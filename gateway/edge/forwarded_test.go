package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"shoal/gateway/edge"
)

func proxies(t *testing.T, header string, trusted ...string) edge.Proxies {
	t.Helper()
	list, err := edge.ParsePrefixes(trusted)
	if err != nil {
		t.Fatal(err)
	}
	return edge.Proxies{Trusted: list, Header: header}
}

// tellOrigin answers with where the request comes from.
func tellOrigin(_ *edge.Server, w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintf(w, "%s %v", host, edge.Secure(r))
}

// Who says where a request comes from, and who is believed.
func TestOrigin(t *testing.T) {
	trusting := proxies(t, "", "127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32")
	rfc := proxies(t, edge.HeaderForwarded, "127.0.0.1", "10.0.0.0/8")
	tests := []struct {
		name    string
		proxies edge.Proxies
		header  string // lines
		want    string
	}{
		{"no proxy", edge.Proxies{}, "", "127.0.0.1 false"},
		{"nobody is trusted", edge.Proxies{}, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1;proto=https\r\n", "127.0.0.1 false"},
		{"another is trusted", proxies(t, "", "127.0.0.2"), "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "127.0.0.1 false"},
		{"no header", trusting, "", "127.0.0.1 false"},
		{"one hop", trusting, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "192.0.2.1 true"},
		{"plain", trusting, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n", "192.0.2.1 false"},
		{"the client names another", trusting, "X-Forwarded-For: 198.51.100.1, 192.0.2.1\r\n", "192.0.2.1 false"},
		{"the client names another in a line of its own", trusting, "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1 false"},
		{"two proxies", trusting, "X-Forwarded-For: 198.51.100.1, 192.0.2.1, 10.1.1.1\r\n", "192.0.2.1 false"},
		{"proxies alone", trusting, "X-Forwarded-For: 10.2.2.2, 10.1.1.1\r\n", "10.2.2.2 false"},
		{"with a port", trusting, "X-Forwarded-For: 192.0.2.1:1234\r\n", "192.0.2.1 false"},
		{"IPv6", trusting, "X-Forwarded-For: 2001:db9::1, 2001:db8::1\r\n", "2001:db9::1 false"},
		{"IPv6 with a port", trusting, "X-Forwarded-For: [2001:db9::1]:80\r\n", "2001:db9::1 false"},
		{"IPv4 as IPv6", trusting, "X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1 false"},
		{"IPv4 as IPv6 of a proxy", trusting, "X-Forwarded-For: 192.0.2.1, ::ffff:10.1.1.1\r\n", "192.0.2.1 false"},
		{"what cannot be read ends the chain", trusting, "X-Forwarded-For: 192.0.2.1, unknown, 10.1.1.1\r\n", "10.1.1.1 false"},
		{"nothing", trusting, "X-Forwarded-For: \r\n", "127.0.0.1 false"},
		{"the header of others", trusting, "Forwarded: for=192.0.2.1;proto=https\r\n", "127.0.0.1 false"},
		{"RFC 7239", rfc, "Forwarded: for=192.0.2.1;proto=https;by=127.0.0.1\r\n", "192.0.2.1 true"},
		{"RFC 7239, the client names another", rfc, "Forwarded: for=198.51.100.1;proto=https, for=192.0.2.1;proto=http\r\n", "192.0.2.1 false"},
		{"RFC 7239, two proxies", rfc, "Forwarded: For=\"192.0.2.1:80\";PROTO=HTTPS, for=10.0.0.1;proto=http\r\n", "192.0.2.1 true"},
		{"RFC 7239, IPv6", rfc, "Forwarded: for=\"[2001:db8::17]:4711\"\r\n", "2001:db8::17 false"},
		{"RFC 7239, hidden", rfc, "Forwarded: for=192.0.2.1, for=_hidden;proto=https\r\n", "127.0.0.1 false"},
		{"RFC 7239, a quoted comma", rfc, "Forwarded: for=\"192.0.2.1, for=198.51.100.1\"\r\n", "127.0.0.1 false"},
		{"RFC 7239, the header of others", rfc, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "127.0.0.1 false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := serveAs(t, func(c *edge.Config) { c.Proxies = tt.proxies }, tellOrigin)
			if got := ask(t, addr, "127.0.0.1", "", tt.header); got != tt.want {
				t.Errorf("comes from %s, want %s", got, tt.want)
			}
		})
	}
}

// ask sends a request from an address of loopback, behind what begins the connection, and gives the body.
func ask(t *testing.T, addr, from, begin, header string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, begin+"GET / HTTP/1.1\r\nHost: x\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "closed"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		return resp.Status
	}
	return string(text)
}

// Connections of trusted proxies begin with a header of the PROXY protocol, and only theirs.
func TestProxyProtocol(t *testing.T) {
	s, addr := serveAs(t, func(c *edge.Config) { c.Proxies, c.ProxyProtocol = proxies(t, "", "127.0.0.2", "10.0.0.0/8"), true }, tellOrigin)
	const v1 = "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x02\x7f\x00\x00\x01\x12\x67\x00\x50"
	for _, tt := range []struct{ name, from, begin, header, want string }{
		{"version 1", "127.0.0.2", v1, "", "192.0.2.1 false"},
		{"version 2", "127.0.0.2", v2, "", "192.0.2.2 false"},
		{"the proxy for itself", "127.0.0.2", "PROXY UNKNOWN\r\n", "", "127.0.0.2 false"},
		{"a client names another", "127.0.0.2", v1, "X-Forwarded-For: 198.51.100.1\r\n", "192.0.2.1 false"},
		{"a proxy behind", "127.0.0.2", "PROXY TCP4 10.0.0.1 127.0.0.1 4711 80\r\n", "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1 false"},
		{"trusted without header", "127.0.0.2", "", "", "closed"},
		{"trusted with a bad header", "127.0.0.2", "PROXY TCP9 x y\r\n", "", "closed"},
		{"not trusted", "127.0.0.3", v1, "", "400 Bad Request"},
		{"not trusted, version 2", "127.0.0.3", v2, "", "400 Bad Request"},
		{"direct", "127.0.0.3", "", "X-Forwarded-For: 198.51.100.1\r\n", "127.0.0.3 false"},
	} {
		if got := ask(t, addr, tt.from, tt.begin, tt.header); got != tt.want {
			t.Errorf("%s: comes from %s, want %s", tt.name, got, tt.want)
		}
	}
	if n := s.Connections().Unproven; n != 2 {
		t.Errorf("%d connections are counted as unproven", n)
	}
}
