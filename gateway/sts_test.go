package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"shoal/gateway"
	"shoal/node/api"
	"shoal/node/apitest"
)

const (
	ownRoot   = "arn:aws:iam::000000000000:root"
	roleStart = "arn:aws:iam::000000000000:role/"
)

// startSTS runs a gateway with sessions and the user alice, who may have some.
func startSTS(t *testing.T) *gate {
	t.Helper()
	return start(t, func(c *gateway.Config) { // the gateway knows all of this from its start on
		people := c.Identities.(*apitest.Identities)
		c.Sessions = people
		change := func(c api.IdentityChange) {
			t.Helper()
			if err := people.ChangeIdentity(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		change(api.IdentityChange{Kind: "policy", Name: "assume", Do: "create", Document: `{"Statement":{"Effect":"Allow","Action":["sts:*","s3:*"],"Resource":"*"}}`})
		for _, name := range []string{"alice", "bob"} {
			change(api.IdentityChange{Kind: "user", Name: name, Do: "create"})
			people.PutKey(api.IssuedKey{Secret: testSecret, AccessKey: api.AccessKey{AccessKeyID: name + "-key", Principal: "user:" + name}})
		}
		people.PutKey(api.IssuedKey{Secret: testSecret, AccessKey: api.AccessKey{AccessKeyID: "root-key", Principal: "root"}})
		change(api.IdentityChange{Kind: "user", Name: "alice", Do: "attach", Policy: "assume"})
		change(api.IdentityChange{Kind: "user", Name: "bob", Do: "attach", Policy: "readwrite"})
	})
}

func (g *gate) sts(id, secret, token string) *sts.Client {
	return sts.New(sts.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + g.s3), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	})
}

func errorCode(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestAssumeRole(t *testing.T) {
	g := startSTS(t)
	big := `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Sid":"` + strings.Repeat("a", 2048) + `"}}`
	ownAlice := "arn:aws:iam::000000000000:user/alice"
	for _, tt := range []struct {
		name, id string
		change   func(*sts.AssumeRoleInput)
		code     string
	}{
		{"all that alice may", "alice-key", func(in *sts.AssumeRoleInput) { in.RoleArn = &ownAlice }, ""},
		{"all that root may", "root-key", nil, ""},
		{"a role", "alice-key", func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(roleStart + "readonly") }, ""},
		{"a policy", "root-key", func(in *sts.AssumeRoleInput) {
			in.Policy = aws.String(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`)
		}, ""},
		{"shortest", "root-key", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(900) }, ""},
		{"longest", "root-key", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(43200) }, ""},
		{"too short", "root-key", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(899) }, "ValidationError"},
		{"too long", "root-key", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(43201) }, "ValidationError"},
		{"without the right", "bob-key", func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("arn:aws:iam::000000000000:user/bob") }, "AccessDenied"},
		{"as another", "alice-key", nil, "AccessDenied"},
		{"a role that is not there", "root-key", func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(roleStart + "none") }, "AccessDenied"},
		{"a role of another account", "root-key", func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("arn:aws:iam::111111111111:role/readonly") }, "AccessDenied"},
		{"no ARN", "root-key", func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("readonly") }, "ValidationError"},
		{"a name with a slash", "root-key", func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a/b") }, "ValidationError"},
		{"a short name", "root-key", func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a") }, "ValidationError"},
		{"no policy", "root-key", func(in *sts.AssumeRoleInput) { in.Policy = aws.String("{}") }, "MalformedPolicyDocument"},
		{"a large policy", "root-key", func(in *sts.AssumeRoleInput) { in.Policy = &big }, "PackedPolicyTooLarge"},
		{"with what is not built", "root-key", func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("external") }, "ValidationError"},
		{"unknown key", "nobody", nil, "InvalidClientTokenId"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := &sts.AssumeRoleInput{RoleArn: aws.String(ownRoot), RoleSessionName: aws.String("test")}
			if tt.change != nil {
				tt.change(in)
			}
			out, err := g.sts(tt.id, testSecret, "").AssumeRole(t.Context(), in)
			if errorCode(err) != tt.code {
				t.Fatalf("%v, want %q", err, tt.code)
			}
			if err != nil {
				return
			}
			life := time.Duration(aws.ToInt32(in.DurationSeconds)) * time.Second
			if life == 0 {
				life = time.Hour
			}
			c := out.Credentials
			if off := time.Until(*c.Expiration) - life; off > time.Minute || off < -time.Minute*10 {
				t.Errorf("it ends at %v", c.Expiration)
			}
			who, err := g.sts(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken).GetCallerIdentity(t.Context(), nil)
			if err != nil || *who.Arn != *out.AssumedRoleUser.Arn || *who.UserId != *out.AssumedRoleUser.AssumedRoleId || *who.Account != api.Account || !strings.HasSuffix(*who.Arn, "/test") {
				t.Errorf("%+v, %v, user %+v", who, err, out.AssumedRoleUser)
			}
			wantSessionAct(t, g.logDir, c)
		})
	}
}

// wantSessionAct demands that the last act is that a session was made, and that no secret of it is there.
func wantSessionAct(t *testing.T, dir string, c *types.Credentials) {
	t.Helper()
	text, err := os.ReadFile(dir + "/acts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	last := lastLine(text)
	if !strings.Contains(last, `"kind":"credential","operation":"AssumeRole","target":"`+*c.AccessKeyId+`"`) || !strings.Contains(last, `\"name\":\"test\"`) {
		t.Errorf("the last act is %s", last)
	}
	if strings.Contains(string(text), *c.SecretAccessKey) || strings.Contains(string(text), *c.SessionToken) {
		t.Error("the log holds a secret of a session")
	}
}

// TestSessionRequests uses a session on the S3 port and on the management port.
func TestSessionRequests(t *testing.T) {
	g := startSTS(t)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "hello"}, 200, "")
	out, err := g.sts("root-key", testSecret, "").AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleStart + "readonly"), RoleSessionName: aws.String("test")})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	client := func(id, secret, token string) *s3.Client {
		return s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://" + g.s3), UsePathStyle: true, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(id, secret, token)})
	}
	get := func(s *s3.Client) string {
		out, err := s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("key")})
		if err == nil {
			out.Body.Close()
		}
		return errorCode(err)
	}
	session := client(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	if code := get(session); code != "" {
		t.Errorf("a session reads: %s", code)
	}
	_, err = session.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("key"), Body: strings.NewReader("x")})
	if errorCode(err) != "AccessDenied" {
		t.Errorf("a session writes beyond its role: %v", err)
	}
	for why, code := range map[string]string{
		"without its token":     get(client(*c.AccessKeyId, *c.SecretAccessKey, "")),
		"with another token":    get(client(*c.AccessKeyId, *c.SecretAccessKey, "x"+*c.SessionToken)),
		"with a root key":       get(client("root-key", testSecret, *c.SessionToken)),
		"with a wrong secret":   get(client(*c.AccessKeyId, testSecret, *c.SessionToken)),
		"without its secret":    get(client(*c.AccessKeyId, "-", *c.SessionToken)),
		"with a key of nothing": get(client("nobody", testSecret, *c.SessionToken)),
	} {
		if want := map[string]string{"without its token": "InvalidAccessKeyId", "with a wrong secret": "SignatureDoesNotMatch", "without its secret": "SignatureDoesNotMatch"}[why]; code != want && (want != "" || code != "InvalidToken") {
			t.Errorf("%s: %s, want %s", why, code, want)
		}
	}
	presigned, err := s3.NewPresignClient(session).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("key")})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := fetch(t, presigned.URL); status != 200 || text != "hello" {
		t.Errorf("presigned: %d %s", status, text)
	}
	if status, text := fetch(t, strings.Replace(presigned.URL, "X-Amz-Security-Token=", "X-Amz-Security-Token=x", 1)); status != 400 || !strings.Contains(text, "InvalidToken") {
		t.Errorf("presigned with another token: %d %s", status, text)
	}
	_, err = g.sts(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(ownRoot), RoleSessionName: aws.String("again")})
	if errorCode(err) != "AccessDenied" {
		t.Errorf("a session makes a session: %v", err)
	}
	if err := g.people.ChangeKey(t.Context(), api.KeyChange{AccessKeyID: "root-key", Do: api.DoRevoke}); err != nil {
		t.Fatal(err)
	}
	if code := get(session); code != "InvalidToken" {
		t.Errorf("a session of a revoked key: %s", code)
	}
	if _, err := g.sts(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken).GetCallerIdentity(t.Context(), nil); errorCode(err) != "InvalidClientTokenId" {
		t.Errorf("who is a session of a revoked key: %v", err)
	}
}

func fetch(t *testing.T, address string) (status int, text string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestTokenServiceErrors sends what no SDK sends.
func TestTokenServiceErrors(t *testing.T) {
	g := startSTS(t)
	const who = "Action=GetCallerIdentity&Version=2011-06-15"
	for _, tt := range []struct {
		name, body, query, service string
		sent                       string // in the place of the body that was signed
		status                     int
		code                       string
	}{
		{"as it should be", who, "", "sts", "", 200, ""},
		{"another body than was signed", who, "", "sts", who + "&x=y", 403, "SignatureDoesNotMatch"},
		{"signed for S3", who, "", "s3", "", 400, "IncompleteSignature"},
		{"no signature", who, "", "", "", 403, "MissingAuthenticationToken"},
		{"no action", "Version=2011-06-15", "", "sts", "", 400, "InvalidAction"},
		{"another action", "Action=GetFederationToken&Version=2011-06-15", "", "sts", "", 400, "InvalidAction"},
		{"another version", "Action=GetCallerIdentity&Version=2010-05-08", "", "sts", "", 400, "InvalidAction"},
		{"an action twice", who + "&Action=AssumeRole", "", "sts", "", 400, "ValidationError"},
		{"a parameter too many", who + "&Name=x", "", "sts", "", 400, "ValidationError"},
		{"parameters in the query", who, "?a=b", "sts", "", 400, "ValidationError"},
		{"no form", "%zz", "", "sts", "", 400, "ValidationError"},
		{"a large form", who + "&x=" + strings.Repeat("y", 17<<10), "", "sts", "", 400, "ValidationError"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, text := g.post(t, tt.body, tt.query, tt.service, tt.sent)
			var e struct {
				XMLName   xml.Name
				Error     struct{ Type, Code, Message string }
				RequestID string `xml:"RequestId"`
			}
			if err := xml.Unmarshal([]byte(text), &e); err != nil || status != tt.status || e.Error.Code != tt.code || e.XMLName.Space != "https://sts.amazonaws.com/doc/2011-06-15/" {
				t.Fatalf("%d %s %v", status, text, err)
			}
			if tt.code != "" && (e.Error.Message == "" || e.RequestID == "" || e.Error.Type != "Sender") {
				t.Errorf("%s", text)
			}
		})
	}
	if _, err := g.sts("bob-key", testSecret, "").AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleStart + "readonly"), RoleSessionName: aws.String("test")}); errorCode(err) != "AccessDenied" {
		t.Error(err)
	}
	recorded := make(map[any]map[string]any)
	for _, rec := range g.records() {
		recorded[rec["operation"]] = rec
	}
	if r := recorded["GetCallerIdentity"]; r["access_key_id"] != "root-key" || r["user"] != "root" {
		t.Errorf("on record: %v", r)
	}
	if r := recorded["AssumeRole"]; r["user"] != "user:bob" || r["decision"] != "deny" || r["error_code"] != "AccessDenied" {
		t.Errorf("on record: %v", r)
	}
}

// post sends a form to the endpoint, signed for a service.
func (g *gate) post(t *testing.T, body, query, service, sent string) (status int, text string) {
	t.Helper()
	if sent == "" {
		sent = body
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, "http://"+g.s3+"/"+query, strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if service != "" {
		cred := aws.Credentials{AccessKeyID: "root-key", SecretAccessKey: testSecret}
		if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, digest(body), service, "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// digest is the SHA-256 of a text in hexadecimal digits.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
