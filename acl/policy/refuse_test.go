package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shoal/acl"
)

// TestRefused: what cannot be evaluated exactly is not stored.
func TestRefused(t *testing.T) {
	const good = `"Effect":"Allow","Action":"s3:GetObject","Resource":"*"`
	for _, tt := range []struct{ name, text, why string }{
		{"nothing", ``, "not valid JSON"},
		{"no object", `[]`, "must be a JSON object"},
		{"no JSON", `{"Statement":`, "not valid JSON"},
		{"null", `{"Statement":null}`, "null"},
		{"more behind", `{"Statement":{` + good + `}} {}`, "behind"},
		{"no statement", `{"Version":"2012-10-17"}`, "needs a Statement"},
		{"empty statements", `{"Statement":[]}`, "needs a Statement"},
		{"unknown element", `{"Statments":[],"Statement":{` + good + `}}`, `no element "Statments"`},
		{"unknown element of a statement", `{"Statement":{` + good + `,"Conditions":{}}}`, `no element "Conditions"`},
		{"element in another case", `{"statement":{` + good + `}}`, "no element"},
		{"element twice", `{"Statement":{` + good + `,"Effect":"Deny"}}`, "twice"},
		{"unknown version", `{"Version":"2012-10-18","Statement":{` + good + `}}`, "Version"},
		{"Sid twice", `{"Statement":[{"Sid":"a",` + good + `},{"Sid":"a",` + good + `}]}`, "Sid"},
		{"no effect", `{"Statement":{"Action":"s3:GetObject","Resource":"*"}}`, "Effect"},
		{"effect in another case", `{"Statement":{"Effect":"allow","Action":"s3:GetObject","Resource":"*"}}`, "Effect"},
		{"no action", `{"Statement":{"Effect":"Allow","Resource":"*"}}`, "Action"},
		{"empty action list", `{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`, "empty"},
		{"unknown action", `{"Statement":{"Effect":"Allow","Action":"s3:GetObjects","Resource":"*"}}`, "no action"},
		{"unknown service", `{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}`, "no action"},
		{"action and not", `{"Statement":{` + good + `,"NotAction":"s3:PutObject"}}`, "both"},
		{"no resource", `{"Statement":{"Effect":"Allow","Action":"s3:GetObject"}}`, "Resource"},
		{"resource no ARN", `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"b/*"}}`, "not a resource"},
		{"resource of another service", `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:ec2:::x"}}`, "not a resource"},
		{"resource and not", `{"Statement":{` + good + `,"NotResource":"*"}}`, "both"},
		{"principal in an identity policy", `{"Statement":{` + good + `,"Principal":"*"}}`, "Principal"},
		{"numbers as actions", `{"Statement":{"Effect":"Allow","Action":7,"Resource":"*"}}`, "string"},
		{"too deep", `{"Statement":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, "deeply"},
		{"too large", `{"Id":"` + strings.Repeat("x", SizeMax) + `","Statement":{` + good + `}}`, "larger"},
		{"unknown variable", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:nothing}"}}`, "no policy variable"},
		{"variable without end", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username"}}`, "without an end"},
		{"variable with several values", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:TagKeys}"}}`, "several values"},
		{"default without quotes", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username, x}"}}`, "quotes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseIdentity("p", []byte(tt.text))
			wantRefused(t, err, tt.why)
		})
	}
	for _, tt := range []struct{ name, condition, why string }{
		{"no object", `[]`, "must be an object"},
		{"unknown operator", `{"StringEqual":{"s3:prefix":"a"}}`, "no condition operator"},
		{"operator in another case", `{"stringequals":{"s3:prefix":"a"}}`, "no condition operator"},
		{"unknown quantifier", `{"ForSomeValues:StringEquals":{"s3:prefix":"a"}}`, "no condition operator"},
		{"Null with IfExists", `{"NullIfExists":{"s3:prefix":"true"}}`, "no condition operator"},
		{"unknown key", `{"StringEquals":{"s3:prefixes":"a"}}`, "no condition key"},
		{"a header's name", `{"StringEquals":{"groups":"a"}}`, "no condition key"},
		{"tag without key", `{"StringEquals":{"s3:ExistingObjectTag/":"a"}}`, "no condition key"},
		{"key twice", `{"StringEquals":{"s3:prefix":"a","S3:prefix":"b"}}`, "twice"},
		{"no values", `{"StringEquals":{"s3:prefix":[]}}`, "no values"},
		{"no keys", `{"StringEquals":{}}`, "object of condition keys"},
		{"nested values", `{"StringEquals":{"s3:prefix":[["a"]]}}`, "strings"},
		{"several values without quantifier", `{"StringEquals":{"aws:TagKeys":"a"}}`, "ForAllValues"},
		{"number that is none", `{"NumericEquals":{"s3:max-keys":"ten"}}`, "not a number"},
		{"number with exponent", `{"NumericEquals":{"s3:max-keys":1e9}}`, "not a number"},
		{"number operator on text", `{"NumericEquals":{"s3:prefix":"1"}}`, "does not fit"},
		{"date that is none", `{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`, "not a date"},
		{"date operator on text", `{"DateLessThan":{"s3:prefix":"2027-01-01"}}`, "does not fit"},
		{"bool that is none", `{"Bool":{"aws:SecureTransport":"yes"}}`, "true nor false"},
		{"address that is none", `{"IpAddress":{"aws:SourceIp":"192.0.2"}}`, "not an address"},
		{"range of mapped addresses", `{"IpAddress":{"aws:SourceIp":"::ffff:192.0.2.0/120"}}`, "not an address"},
		{"address operator on text", `{"IpAddress":{"aws:UserAgent":"192.0.2.1"}}`, "does not fit"},
		{"ARN that is none", `{"ArnLike":{"aws:PrincipalArn":"alice"}}`, "not an ARN"},
		{"ARN with a star for several parts", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:*:user/alice"}}`, "not an ARN"},
	} {
		t.Run("condition: "+tt.name, func(t *testing.T) {
			_, err := ParseIdentity("p", document(tt.condition))
			wantRefused(t, err, tt.why)
		})
	}
}

// TestBucketPolicyRefused: S3 User Guide, "Bucket policies", and the errors that S3 gives for
// policies that cannot work.
func TestBucketPolicyRefused(t *testing.T) {
	for _, tt := range []struct{ name, statement, why string }{
		{"no principal", `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`, "Principal"},
		{"both principals", `"Effect":"Deny","Principal":"*","NotPrincipal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`, "both"},
		{"NotPrincipal allows", `"Effect":"Allow","NotPrincipal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`, "NotPrincipal"},
		{"principal of a service", `"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`, "Invalid principal"},
		{"federated principal", `"Effect":"Allow","Principal":{"Federated":"x"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`, "Invalid principal"},
		{"part of a principal's name", `"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/a*"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`, "Invalid principal"},
		{"a role", `"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/r"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`, "Invalid principal"},
		{"principal is text", `"Effect":"Allow","Principal":"alice","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`, "Principal must be"},
		{"principal is empty", `"Effect":"Allow","Principal":{},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`, "Principal must be"},
		{"another bucket", `"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::c/*"`, "invalid resource"},
		{"another bucket beside", `"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":["arn:aws:s3:::b/*","arn:aws:s3:::bb/*"]`, "invalid resource"},
		{"object action on the bucket", `"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b"`, "does not apply"},
		{"bucket action on objects", `"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":"arn:aws:s3:::b/*"`, "does not apply"},
		{"action of an operator", `"Effect":"Allow","Principal":"*","Action":"admin:ListUsers","Resource":"arn:aws:s3:::b/*"`, "invalid action"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseBucket("b", []byte(`{"Version":"2012-10-17","Statement":[{`+tt.statement+`}]}`))
			wantRefused(t, err, tt.why)
		})
	}
	for _, resource := range []string{`"arn:aws:s3:::b/*"`, `"*"`, `"arn:aws:s3:::b*"`, `["arn:aws:s3:::b","arn:aws:s3:::b/x"]`, `"arn:aws:s3:::b/${aws:username}/*"`} {
		_, err := ParseBucket("b", fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":%s}]}`, resource))
		if err != nil {
			t.Errorf("%s: %v", resource, err)
		}
	}
}

func wantRefused(t *testing.T, err error, why string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Why, why) {
		t.Errorf("got %v, want it refused for %q", err, why)
	}
}

// TestPublic: S3 User Guide, "The meaning of public".
func TestPublic(t *testing.T) {
	for _, tt := range []struct {
		element string
		want    bool
	}{
		{`"Effect":"Allow","Principal":"*"`, true},
		{`"Effect":"Allow","Principal":{"AWS":"*"}`, true},
		{`"Effect":"Deny","Principal":"*"`, false},
		{`"Effect":"Allow","Principal":{"AWS":"123456789012"}`, false},
		{`"Effect":"Allow","Principal":{"CanonicalUser":"user:alice"}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/0"]}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/7"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"2001::/31"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:userid":"user:alice"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:userid":"user:*"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:Referer":"x"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}`, true},
	} {
		p, err := ParseBucket("b", []byte(`{"Version":"2012-10-17","Statement":[{`+tt.element+`,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}`))
		if err != nil {
			t.Errorf("%s: %v", tt.element, err)
		} else if p.Public() != tt.want {
			t.Errorf("%s: public %v, want %v", tt.element, p.Public(), tt.want)
		}
	}
}

func TestNeedsTags(t *testing.T) {
	for text, want := range map[string]bool{
		`"Resource":"*"`: false,
		`"Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/a":"b"}}`:            true,
		`"Resource":"*","Condition":{"StringEquals":{"s3:prefix":"${s3:ExistingObjectTag/a}"}}`: true,
		`"Resource":"arn:aws:s3:::b/${s3:ExistingObjectTag/a}"`:                                 true,
		`"Resource":"*","Condition":{"StringEquals":{"s3:RequestObjectTag/a":"b"}}`:             false,
	} {
		p, err := ParseIdentity("p", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject",`+text+`}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if p.NeedsTags() != want {
			t.Errorf("%s: needs tags %v", text, !want)
		}
	}
}

func allowAll(t testing.TB) *statement {
	p, err := ParseIdentity("all", []byte(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return p.statements[0]
}

func BenchmarkEvaluate(b *testing.B) {
	var sts []string
	for i := range 50 {
		sts = append(sts, fmt.Sprintf(`{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":["arn:aws:s3:::b%d/*","arn:aws:s3:::b%d/${aws:username}/*"],"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"StringLike":{"aws:UserAgent":"*"}}}`, i, i))
	}
	p, err := ParseIdentity("p", []byte(`{"Version":"2012-10-17","Statement":[`+strings.Join(sts, ",")+`]}`))
	if err != nil {
		b.Fatal(err)
	}
	r := request("resource=arn:aws:s3:::b49/alice/x", "aws:SourceIp=192.0.2.1", "aws:UserAgent=x")
	b.ReportAllocs()
	for b.Loop() {
		if p.Evaluate(r).Effect != acl.Allow {
			b.Fatal("not allowed")
		}
	}
}
