package edge

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// block is a header of version 2.
func block(t *testing.T, versionCommand, family string, rest string) string {
	t.Helper()
	fixed, err := hex.DecodeString(versionCommand + family)
	if err != nil {
		t.Fatal(err)
	}
	return string(v2Begin) + string(fixed) + string([]byte{byte(len(rest) >> 8), byte(len(rest))}) + rest
}

// Cases from the PROXY protocol's sections 2.1 and 2.2.
func TestReadProxyHeader(t *testing.T) {
	v4, v6 := "\xc0\x00\x02\x01\xc6\x33\x64\x01\x30\x39\x01\xbb", strings.Repeat("\x20\x01\x0d\xb8", 4)+strings.Repeat("\x00", 16)+"\x00\x50\x01\xbb"
	tests := []struct {
		name, header string
		want         string // "" is no address, "error" none that can be read
	}{
		{"version 1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n", "192.0.2.1:12345"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 443\r\n", "[2001:db8::1]:1"},
		{"version 1, IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 443\r\n", "192.0.2.1:1"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", ""},
		{"version 1, unknown with more", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ""},
		{"version 1, no such protocol", "PROXY UDP4 192.0.2.1 198.51.100.1 12345 443\r\n", "error"},
		{"version 1, the wrong family", "PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n", "error"},
		{"version 1, the other wrong family", "PROXY TCP6 192.0.2.1 192.0.2.2 1 443\r\n", "error"},
		{"version 1, a zone", "PROXY TCP6 fe80::1%lo fe80::2 1 443\r\n", "error"},
		{"version 1, a port too large", "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", "error"},
		{"version 1, a port with a sign", "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n", "error"},
		{"version 1, a port with a zero", "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n", "error"},
		{"version 1, two spaces", "PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n", "error"},
		{"version 1, a word less", "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", "error"},
		{"version 1, without end", "PROXY TCP4 " + strings.Repeat("1", 200), "error"},
		{"version 1, cut off", "PROXY TCP4 192.0.2.1 198.", "error"},
		{"version 1, in lower case", "proxy TCP4 192.0.2.1 198.51.100.1 12345 443\r\n", "error"},
		{"version 2, IPv4", block(t, "21", "11", v4), "192.0.2.1:12345"},
		{"version 2, IPv4 with more", block(t, "21", "11", v4+"\x03\x00\x04abcd"), "192.0.2.1:12345"},
		{"version 2, IPv6", block(t, "21", "21", v6), "[2001:db8:2001:db8:2001:db8:2001:db8]:80"},
		{"version 2, local", block(t, "20", "11", v4), ""},
		{"version 2, local, nothing else", block(t, "20", "00", ""), ""},
		{"version 2, not said", block(t, "21", "00", ""), ""},
		{"version 2, a datagram", block(t, "21", "12", v4), "error"},
		{"version 2, a Unix socket", block(t, "21", "31", strings.Repeat("/", 216)), "error"},
		{"version 2, too short for IPv4", block(t, "21", "11", v4[:11]), "error"},
		{"version 2, too short for IPv6", block(t, "21", "21", v6[:35]), "error"},
		{"version 2, no such command", block(t, "22", "11", v4), "error"},
		{"version 3", block(t, "31", "11", v4), "error"},
		{"version 2, too long", block(t, "21", "11", v4+strings.Repeat("x", blockMax)), "error"},
		{"version 2, cut off", block(t, "21", "11", v4)[:20], "error"},
		{"no header", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "error"},
		{"nothing", "", "error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const behind = "GET / HTTP/1.1\r\n\r\n"
			text := tt.header
			if tt.want != "error" {
				text += behind
			}
			r := strings.NewReader(text)
			source, err := readProxyHeader(r)
			got := ""
			if source.IsValid() {
				got = source.String()
			}
			if err != nil {
				got = "error"
			}
			if got != tt.want {
				t.Fatalf("got %q, %v", got, err)
			}
			if rest, _ := io.ReadAll(r); err == nil && string(rest) != behind {
				t.Errorf("behind the header stands %q", rest)
			}
		})
	}
}

func FuzzReadProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(append(bytes.Clone(v2Begin), "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\x30\x39\x01\xbb"...))
	f.Add(append(bytes.Clone(v2Begin), "\x20\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bytes.NewReader(text)
		source, err := readProxyHeader(r)
		taken := len(text) - r.Len()
		if taken > v2Fixed+blockMax {
			t.Fatalf("%d bytes were read", taken)
		}
		if err != nil {
			if source.IsValid() {
				t.Fatalf("%v beside %v", source, err)
			}
			return
		}
		// What was read stands for itself, whatever follows.
		again, err := readProxyHeader(bytes.NewReader(text[:taken]))
		if err != nil || again != source {
			t.Fatalf("%v, then %v: %v", source, again, err)
		}
	})
}

func FuzzForwarded(f *testing.F) {
	f.Add("192.0.2.1, 198.51.100.1", "for=192.0.2.1;proto=https, for=\"[2001:db8::1]:80\"")
	f.Add("unknown", "for=_hidden")
	f.Fuzz(func(t *testing.T, list, elements string) {
		peer := netip.MustParseAddrPort("127.0.0.1:1")
		for _, name := range []string{HeaderXForwardedFor, HeaderForwarded} {
			p := &Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Header: name}
			at := p.origin(peer, false, map[string][]string{HeaderXForwardedFor: {list}, HeaderForwarded: {elements}, headerXForwardedProto: {list}})
			if !at.source.IsValid() || at.source.Addr().Zone() != "" || at.source.Addr().Is4In6() {
				t.Fatalf("the source is %v", at.source)
			}
		}
	})
}
