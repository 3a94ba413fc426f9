package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/keyring"
)

// sessionNode is as much of a node as opens tokens.
func sessionNode(first byte) *Node {
	root := envelope.RootKey{}
	root.Key[0] = first
	return &Node{keys: keyring.New(root)}
}

// TestOpenSession: a token opens on every node of the store, as long as nothing of it is changed.
func TestOpenSession(t *testing.T) {
	text := `{"access_key_id":"SHOTAAAAAAAAAAAAAAAA","secret_access_key":"secret","parent":"SHOLAAAAAAAAAAAAAAAA","principal":"user:alice","name":"n","issued":"2027-01-01T00:00:00Z","expires":"2027-01-01T01:00:00Z"}`
	token, err := sessionNode(1).keys.SealSession([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sessionNode(1).openSession(token)
	if err != nil || s.Parent != "SHOLAAAAAAAAAAAAAAAA" || s.Secret != "secret" || s.Expires.Sub(s.Issued) != time.Hour {
		t.Fatalf("%+v, %v", s, err)
	}
	if strings.Contains(token, "secret") || strings.Contains(s.String()+(api.IssuedSession{Session: s, Token: token}).GoString(), "secret") {
		t.Error("the secret shows")
	}
	refused := func(n *Node, token string) {
		t.Helper()
		if s, err := n.openSession(token); api.KindOf(err) != api.NoSuchCredential || s != (api.Session{}) {
			t.Errorf("%q gave %v, %v", token, s, err)
		}
	}
	refused(sessionNode(2), token)
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		refused(sessionNode(1), string(changed))
	}
	for _, odd := range []string{"", "A", token[:len(token)-4], token + "AAAA", token + "=", token + "\n", strings.Repeat("A", 100<<10)} {
		refused(sessionNode(1), odd)
	}
	secret, err := sessionNode(1).keys.SealSecret("", text)
	if err != nil {
		t.Fatal(err)
	}
	refused(sessionNode(1), string(secret))
}

// TestSessionTokenGolden opens the token of format 1 that is kept.
func TestSessionTokenGolden(t *testing.T) {
	token, err := os.ReadFile(filepath.Join("testdata", "session-token-1.txt"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sessionNode(1).openSession(strings.TrimSpace(string(token)))
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	want := api.Session{
		AccessKeyID: "SHOTAAAAAAAAAAAAAAAA", Secret: "s", Parent: "SHOLAAAAAAAAAAAAAAAA", Principal: "user:alice", Name: "n",
		Role: "readonly", Policy: "{}", Issued: at, Expires: at.Add(time.Hour),
	}
	if err != nil || s != want {
		t.Errorf("%#v %+v, %v", s, s.Role, err)
	}
}

// TestUserSessionTokenGolden does the same for a session of a user.
func TestUserSessionTokenGolden(t *testing.T) {
	token, err := os.ReadFile(filepath.Join("testdata", "session-token-user-1.txt"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sessionNode(1).openSession(strings.TrimSpace(string(token)))
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	want := api.Session{
		AccessKeyID: "SHOTAAAAAAAAAAAAAAAA", Secret: "s", Principal: "user:alice", Parent: "SHOUAAAAAAAAAAAAAAAA", ParentMark: "00", Name: "certificate-abc",
		Issued: at, Expires: at.Add(time.Hour),
	}
	if err != nil || s != want {
		t.Errorf("%#v %+v, %v", s, s.ParentMark, err)
	}
}
