package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"shoal/gateway"
	"shoal/node/api"
	"shoal/node/apitest"
)

// set changes all settings and waits until they are in force: until what has changed was asked for twice.
func (g *gate) set(pairs ...string) {
	g.t.Helper()
	var settings []api.Setting
	for i := 0; i < len(pairs); i += 2 {
		if err := api.CheckSetting(pairs[i], pairs[i+1]); err != nil {
			g.t.Fatal(err)
		}
		settings = append(settings, api.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	g.people.PutSettings(settings...)
	for until := g.people.Asked() + 2; g.people.Asked() < until; {
		<-time.After(time.Millisecond)
	}
}

func startBehindProxy(t *testing.T) *gate {
	t.Helper()
	return start(t, func(c *gateway.Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
}

// from makes a call come from an address, as a trusted proxy says it.
func (c call) from(address string) call {
	c.header = http.Header{"X-Forwarded-For": {address}}
	return c
}

// slowed sends a call many times at once, and wants some of them told to come back.
func (g *gate) slowed(c call) {
	g.t.Helper()
	const calls = 40 // of which one a second would take longer than any machine
	answers := make(chan answer, calls)
	for range calls {
		go func() { answers <- g.do(c) }()
	}
	slow := 0
	for range calls {
		a := <-answers
		if a.status == 503 && strings.Contains(a.body, "SlowDown") && a.header.Get("Retry-After") != "" {
			slow++
		} else if a.status != 200 && a.status != 403 {
			g.t.Errorf("got %d %s", a.status, a.body)
		}
	}
	if slow == 0 {
		g.t.Error("none was told to come back")
	}
}

func TestSourceLimits(t *testing.T) {
	g := startBehindProxy(t)
	list := call{target: "/"}
	g.set("source-requests", "1")
	g.slowed(list.from("192.0.2.1"))
	g.want(list.from("192.0.2.2"), 200, "") // others are unaffected
	g.want(list.from("2001:db8:0:1::1"), 200, "")
	g.slowed(list.from("2001:db8::2"))
	g.set()
	g.want(list.from("192.0.2.1"), 200, "")
	if a := g.do(call{target: "/metrics", id: "-", admin: true}); strings.Contains(a.body, `shoal_gateway_limited_requests_total{reason="source"} 0`) ||
		!strings.Contains(a.body, `shoal_gateway_limited_requests_total{reason="source"}`) {
		t.Error("refusals are not counted")
	}
}

func TestPrincipalLimits(t *testing.T) {
	g := startBehindProxy(t)
	for _, name := range []string{"alice", "bob"} {
		if err := g.people.ChangeIdentity(t.Context(), api.IdentityChange{Kind: api.KindUser, Name: name, Do: api.DoCreate}); err != nil {
			t.Fatal(err)
		}
		g.people.PutKey(api.IssuedKey{AccessKey: api.AccessKey{AccessKeyID: name, Principal: api.UserPrincipal + name}, Secret: testSecret})
	}
	g.set("principal-requests", "1")
	g.slowed(call{target: "/", id: "alice"})
	g.slowed(call{target: "/", id: "alice"}.from("192.0.2.9")) // wherever it comes from
	if a := g.do(call{target: "/", id: "bob"}); a.status == 503 {
		t.Errorf("another got %d %s", a.status, a.body)
	}
}

// One request under way is all that the source may have; when it has ended the next is served.
func TestParallelLimit(t *testing.T) {
	entered := make(chan struct{})
	g := start(t, func(c *gateway.Config) {
		c.Objects = blocking{c.Objects.(*apitest.Memory), entered}
	})
	g.set("source-parallel", "1")
	conn := g.dial(g.s3)
	if _, err := conn.Write(call{target: "/bucket/key"}.bytes(t, g.s3)); err != nil {
		t.Fatal(err)
	}
	<-entered
	a := g.want(call{target: "/"}, 503, "SlowDown")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	conn.Close() // and with it the request ends
	for g.do(call{target: "/"}).status != 200 {
		<-time.After(time.Millisecond)
	}
}

// Keys that have proven themselves go on while others from the same source, that fail, wait.
func TestFailedSignatures(t *testing.T) {
	g := startBehindProxy(t)
	g.set("source-failures", "1")
	good := call{target: "/"}
	bad, unknown := call{target: "/", secret: "wrong", id: guestID}, call{target: "/", id: "NOSUCHKEY"}
	g.want(good.from("192.0.2.1"), 200, "")
	slowed := 0
	for i := range 60 {
		c, code := bad, "SignatureDoesNotMatch"
		if i%2 == 1 {
			c, code = unknown, "InvalidAccessKeyId"
		}
		a := g.do(c.from("192.0.2.1"))
		switch {
		case a.status == 503 && strings.Contains(a.body, "SlowDown"):
			slowed++
		case a.status != 403 || !strings.Contains(a.body, code):
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if slowed == 0 {
		t.Error("sixty wrong signatures in a row were all looked at")
	}
	g.want(good.from("192.0.2.1"), 200, "")
	g.want(bad.from("192.0.2.2"), 403, "SignatureDoesNotMatch")
}

// The management port holds sources and principals to the same limits, and wrong signatures at either port count at both.
func TestManagementLimits(t *testing.T) {
	g := startBehindProxy(t)
	space := call{target: "/admin/v1/space", admin: true}
	bad := call{target: "/admin/v1/space", admin: true, id: guestID, secret: "wrong"}
	g.set("source-failures", "1")
	if a := g.do(space.from("192.0.2.1")); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	slowed := 0
	for range 60 {
		switch a := g.do(bad.from("192.0.2.1")); {
		case a.status == 503 && strings.Contains(a.body, "SlowDown") && a.header.Get("Retry-After") != "":
			slowed++
		case a.status != 403 || !strings.Contains(a.body, "SignatureDoesNotMatch"):
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if slowed == 0 {
		t.Error("sixty wrong signatures in a row were all looked at")
	}
	if a := g.do(space.from("192.0.2.1")); a.status != 200 {
		t.Errorf("a key that has proven itself got %d %s", a.status, a.body)
	}
	for tries := 0; g.do(call{target: "/", id: guestID, secret: "wrong"}.from("192.0.2.1")).status != 503; tries++ {
		if tries == 8 { // ten are borne of who has not failed yet
			t.Error("the other port looks at all of them")
			break
		}
	}
	if a := g.do(bad.from("192.0.2.2")); a.status != 403 {
		t.Errorf("another source got %d %s", a.status, a.body)
	}
	for _, name := range []string{"source-requests", "principal-requests"} {
		g.set(name, "1")
		g.slowed(space.from("192.0.2.9"))
		for range 20 {
			if a := g.do(call{target: "/health/live", id: "-", admin: true}.from("192.0.2.9")); a.status != 200 {
				t.Fatalf("health is answered with %d %s", a.status, a.body)
			}
		}
	}
}

func TestAddressRules(t *testing.T) {
	g := startBehindProxy(t)
	list, live := call{target: "/"}, call{target: "/health/live", id: "-", admin: true}
	g.set("ip/192.0.2.0/24", "block", "ip/192.0.2.128/25", "allow", "ip/127.0.0.0/8", "block")
	a := g.want(list.from("192.0.2.1"), 403, "AccessDenied")
	if !a.close || !strings.Contains(a.body, "address") {
		t.Errorf("%s, and the connection lives: %v", a.body, !a.close)
	}
	g.want(list.from("192.0.2.200"), 200, "")
	g.want(list, 403, "AccessDenied") // the proxy for itself
	if a := g.do(live.from("192.0.2.1")); a.status != 403 {
		t.Errorf("management answers a blocked address with %d", a.status)
	}
	if a := g.do(live); a.status != 200 { // so that nobody locks himself out
		t.Errorf("management answers loopback with %d", a.status)
	}
	g.set()
	g.want(list.from("192.0.2.1"), 200, "")
	a = g.do(call{target: "/metrics", id: "-", admin: true})
	for _, line := range []string{"shoal_gateway_blocked_total 2", `shoal_permission_denied_total{reason="ip"} 3`} {
		if !strings.Contains(a.body, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
}

// A form of which nobody knows who sends it has little time, and one whose signature cannot be right is refused before it has come.
func TestFormsAreHurried(t *testing.T) {
	g := start(t, func(c *gateway.Config) { c.Limits.FormTimeout, c.Limits.StallTimeout = 100*time.Millisecond, time.Hour })
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	const half = "Action=GetCallerIdentity&"
	head := func(path, more string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nContent-Type: " + more + "\r\n\r\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"form", head("/", "application/x-www-form-urlencoded") + half, "RequestTimeout"},
		{"form of an upload", head("/bucket", "multipart/form-data; boundary=b") + "--b\r\n", "RequestTimeout"},
		{"signature of long ago", head("/", "application/x-www-form-urlencoded\r\nX-Amz-Date: 20200101T000000Z\r\n"+
			"Authorization: AWS4-HMAC-SHA256 Credential="+testID+"/20200101/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature="+emptySum), "SignatureDoesNotMatch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := g.dial(g.s3)
			defer conn.Close()
			if _, err := io.WriteString(conn, tt.text); err != nil {
				t.Fatal(err)
			}
			if a := readAnswer(t, bufio.NewReader(conn), "POST"); !strings.Contains(a.body, "<Code>"+tt.want+"</Code>") {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}
