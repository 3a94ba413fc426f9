package security

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"shoal/chunker/envelope"
	"shoal/node/keyring"
)

// Sessions are what their token says, and no more.

func sessionAttacks() []attack {
	return []attack{
		{"A4 session without its token", sessionNoToken},
		{"A4 session with the token of another", sessionOtherToken},
		{"A4 session with a changed token", sessionChangedToken},
		{"A4 access key with the token of a session", keyWithToken},
		{"A15 session that wants more than its role", sessionWantsMore},
		{"A16 sessions asked for without a signature", sessionsUnsigned},
		{"A26 session sealed under a key made from what users know", sessionOfGuessedKey},
		{"A16 sessions by tokens of other providers", sessionsByOthers},
	}
}

// session is a temporary credential.
type session struct {
	credential
	token string
}

// assume asks for a session with the rights of the user "mole".
func (v *victim) assume(t *testing.T) session {
	t.Helper()
	form := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/mole"}, "RoleSessionName": {"test"}}
	a := v.send(t, stsRequest(form, v.root))
	var doc struct {
		Result struct {
			Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
		} `xml:"AssumeRoleResult"`
	}
	if err := xml.Unmarshal(a.body, &doc); a.status != http.StatusOK || err != nil {
		t.Fatalf("%v, %v", a, err)
	}
	c := doc.Result.Credentials
	v.secrets.Store("the secret of a session", c.SecretAccessKey)
	v.secrets.Store("the token of a session", c.SessionToken)
	return session{credential{c.AccessKeyId, c.SecretAccessKey}, c.SessionToken}
}

func stsRequest(form url.Values, as credential) *request {
	return &request{method: http.MethodPost, path: "/", as: as, service: "sts", body: []byte(form.Encode()), head: map[string]string{"content-type": "application/x-www-form-urlencoded"}}
}

// with signs a request with a session's key and shows a token.
func (s session) with(r *request, token string) *request {
	r.as = s.credential
	if token != "" {
		r.head = map[string]string{"x-amz-security-token": token}
	}
	return r
}

func (b *held) denies(t *testing.T, r *request) {
	t.Helper()
	if a := b.send(t, r); a.status != 403 && a.status != 400 || strings.Contains(string(a.body), keptContent) {
		t.Errorf("%s: %v", r.path, a)
	}
}

func (b *held) get() *request { return &request{method: http.MethodGet, path: "/" + b.name + "/kept"} }

func sessionNoToken(t *testing.T, v *victim) {
	b, s := v.bucket(t, "mole-a4-no-token"), v.assume(t)
	if a := v.is(t, s.with(b.get(), s.token), 200, ""); string(a.body) != keptContent {
		t.Fatalf("%v", a)
	}
	b.denies(t, s.with(b.get(), ""))
	r := s.with(b.get(), "")
	r.presign = "60"
	b.denies(t, r)
}

func sessionOtherToken(t *testing.T, v *victim) {
	b, one, two := v.bucket(t, "mole-a4-other-token"), v.assume(t), v.assume(t)
	b.denies(t, one.with(b.get(), two.token))
	b.denies(t, two.with(b.get(), one.token))
}

func sessionChangedToken(t *testing.T, v *victim) {
	b, s := v.bucket(t, "mole-a4-changed-token"), v.assume(t)
	for i := 0; i < len(s.token); i += 1 + len(s.token)/40 {
		c := byte('A')
		if s.token[i] == c {
			c = 'B'
		}
		b.denies(t, s.with(b.get(), s.token[:i]+string(c)+s.token[i+1:]))
	}
	for _, token := range []string{s.token[:len(s.token)/2], s.token + s.token, s.token[1:]} {
		b.denies(t, s.with(b.get(), token))
	}
}

func keyWithToken(t *testing.T, v *victim) {
	b, s := v.bucket(t, "mole-a4-key-token"), v.assume(t)
	b.denies(t, session{credential: v.root}.with(b.get(), s.token))
	b.denies(t, session{credential: v.mole}.with(b.get(), s.token))
}

func sessionWantsMore(t *testing.T, v *victim) {
	b, s := v.bucket(t, "a15-session"), v.assume(t)
	b.denies(t, s.with(b.get(), s.token))
	form := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/mole"}, "RoleSessionName": {"test"}}
	r := stsRequest(form, s.credential)
	r.head["x-amz-security-token"] = s.token
	if a := v.send(t, r); a.status/100 == 2 {
		t.Errorf("a session made a session: %v", a)
	}
	admin := &victim{addr: v.p.AdminAddr()}
	for _, page := range managementPages {
		method, path, _ := strings.Cut(page, " ")
		if a := admin.send(t, s.with(&request{method: method, path: path}, s.token)); a.status/100 == 2 || a.status/100 == 5 {
			t.Errorf("%s: %v", page, a)
		}
	}
	b.untouched(t)
}

func sessionsUnsigned(t *testing.T, v *victim) {
	for _, as := range []credential{{}, {v.root.id, "x"}, {"AKIANOBODYHASTHISKEY", "x"}} {
		for _, action := range []string{"AssumeRole", "GetCallerIdentity", "GetSessionToken", "GetFederationToken"} {
			form := url.Values{"Action": {action}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/mole"}, "RoleSessionName": {"test"}}
			if a := v.send(t, stsRequest(form, as)); a.status != 403 && a.status != 400 {
				t.Errorf("%s: %v", action, a)
			}
		}
	}
}

// sessionsByOthers shows tokens that are not signed, or with a secret that is known: no provider is configured that could take them.
func sessionsByOthers(t *testing.T, v *victim) {
	const unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290IiwiZXhwIjo0MTAyNDQ0ODAwfQ."
	for action, more := range map[string]url.Values{
		"AssumeRoleWithWebIdentity":  {"WebIdentityToken": {unsigned}},
		"AssumeRoleWithSAML":         {"SAMLAssertion": {"PHg+"}, "PrincipalArn": {"arn:aws:iam::000000000000:saml-provider/x"}},
		"AssumeRoleWithLDAPIdentity": {"LDAPUsername": {"*)(uid=*"}, "LDAPPassword": {"x"}},
		"AssumeRoleWithClientGrants": {"Token": {unsigned}},
		"AssumeRoleWithCertificate":  {},
		"AssumeRoleWithCustomToken":  {"Token": {unsigned}},
	} {
		form := url.Values{"Action": {action}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/mole"}, "RoleSessionName": {"test"}}
		for k, values := range more {
			form[k] = values
		}
		for _, as := range []credential{{}, v.mole} {
			if a := v.send(t, stsRequest(form, as)); a.status/100 != 4 && a.status != http.StatusNotImplemented {
				t.Errorf("%s: %v", action, a)
			}
		}
	}
}

// guessedRoots are root keys that could be had from what users of a store know, if one was made from the other.
func guessedRoots(v *victim) (keys [][32]byte) {
	for _, c := range []credential{v.root, v.mole} {
		for _, text := range []string{c.secret, c.id, c.id + c.secret, c.id + ":" + c.secret} {
			keys = append(keys, sha256.Sum256([]byte(text)), filled(text))
		}
	}
	return append(keys, [32]byte{}, filled("shoal"), sha256.Sum256([]byte("shoal")), sha256.Sum256(nil))
}

// sessionOfGuessedKey makes a session of root's under keys that somebody may guess.
func sessionOfGuessedKey(t *testing.T, v *victim) {
	b := v.bucket(t, "a26-guessed")
	s := v.assume(t)
	v.is(t, s.with(&request{method: http.MethodGet, path: "/mole-none"}, s.token), 404, "NoSuchBucket") // a session that is real
	for _, key := range guessedRoots(v) {
		forged := forgeSession(t, key, v.root.id)
		b.denies(t, forged.with(b.get(), forged.token))
	}
	b.untouched(t)
}

// forgeSession makes the session of a parent as a node with that root key would.
func forgeSession(t *testing.T, root [32]byte, parent string) session {
	t.Helper()
	s := session{credential: credential{"SHOTAAAAAAAAAAAAAAAA", "made up by somebody"}}
	text, err := json.Marshal(map[string]string{
		"access_key_id": s.id, "secret_access_key": s.secret, "parent": parent, "principal": "root", "name": "forged",
		"issued": time.Now().UTC().Format(time.RFC3339), "expires": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	})
	must(t, err)
	s.token, err = keyring.New(envelope.RootKey{Key: root}).SealSession(text)
	must(t, err)
	return s
}

// filled is a key that begins with a text.
func filled(text string) (key [32]byte) {
	copy(key[:], text)
	return key
}
