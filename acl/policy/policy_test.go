package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"shoal/acl"
)

const account = "123456789012"

// request makes a request of alice's for an object.
func request(set ...string) *acl.Request {
	r := &acl.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/docs/a.txt"}
	r.SetPrincipal(&acl.Principal{Kind: acl.User, ID: "user:alice", Name: "alice", Account: account})
	for _, s := range set {
		name, values, _ := strings.Cut(s, "=")
		if name == "action" {
			r.Action = values
		} else if name == "resource" {
			r.Resource = values
		} else {
			r.Set(name, strings.Split(values, "|")...)
		}
	}
	return r
}

// document makes a policy of one statement that allows, with a condition.
func document(condition string) []byte {
	return fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":[{"Sid":"only","Effect":"Allow","Action":"s3:*","Resource":"*","Condition":%s}]}`, condition)
}

// TestConditions: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Conditions
// with multiple context keys or values".
func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		condition string
		set       string // separated by spaces
		want      bool
	}{
		{`{"StringEquals":{"s3:prefix":"docs/"}}`, "s3:prefix=docs/", true},
		{`{"StringEquals":{"s3:prefix":"docs/"}}`, "s3:prefix=Docs/", false},
		{`{"StringEquals":{"s3:prefix":"docs/"}}`, "", false},
		{`{"StringEquals":{"s3:prefix":["a","b"]}}`, "s3:prefix=b", true},
		{`{"StringEquals":{"s3:prefix":["a","b"]}}`, "s3:prefix=c", false},
		{`{"StringEquals":{"s3:prefix":"a*"}}`, "s3:prefix=ab", false},
		{`{"StringEquals":{"s3:prefix":"a*"}}`, "s3:prefix=a*", true},
		{`{"StringEquals":{"s3:prefix":""}}`, "s3:prefix=", true},
		{`{"StringEquals":{"S3:PreFix":"a"}}`, "s3:prefix=a", true},
		{`{"StringEquals":{"s3:prefix":"a","s3:delimiter":"/"}}`, "s3:prefix=a s3:delimiter=/", true},
		{`{"StringEquals":{"s3:prefix":"a","s3:delimiter":"/"}}`, "s3:prefix=a", false},
		{`{"StringEquals":{"s3:prefix":"a"},"StringLike":{"s3:delimiter":"*"}}`, "s3:prefix=a s3:delimiter=/", true},
		{`{"StringEquals":{"s3:prefix":"a"},"StringLike":{"s3:delimiter":"x*"}}`, "s3:prefix=a s3:delimiter=/", false},
		{`{"StringNotEquals":{"s3:prefix":"a"}}`, "s3:prefix=a", false},
		{`{"StringNotEquals":{"s3:prefix":"a"}}`, "s3:prefix=b", true},
		{`{"StringNotEquals":{"s3:prefix":"a"}}`, "", true},
		{`{"StringNotEquals":{"s3:prefix":["a","b"]}}`, "s3:prefix=b", false},
		{`{"StringNotEquals":{"s3:prefix":["a","b"]}}`, "s3:prefix=c", true},
		{`{"StringEqualsIgnoreCase":{"s3:prefix":"dOcS"}}`, "s3:prefix=DoCs", true},
		{`{"StringNotEqualsIgnoreCase":{"s3:prefix":"dOcS"}}`, "s3:prefix=DoCs", false},
		{`{"StringLike":{"s3:prefix":"home/*"}}`, "s3:prefix=home/alice/x", true},
		{`{"StringLike":{"s3:prefix":"home/?/x"}}`, "s3:prefix=home/a/x", true},
		{`{"StringLike":{"s3:prefix":"home/?/x"}}`, "s3:prefix=home/ab/x", false},
		{`{"StringLike":{"s3:prefix":"home/?/x"}}`, "s3:prefix=home/é/x", true},
		{`{"StringLike":{"s3:prefix":"*a*b*c"}}`, "s3:prefix=xxaxxbxbxc", true},
		{`{"StringLike":{"s3:prefix":"*a*b*c"}}`, "s3:prefix=xxaxxcxb", false},
		{`{"StringLike":{"s3:prefix":"A*"}}`, "s3:prefix=abc", false},
		{`{"StringNotLike":{"s3:prefix":"home/*"}}`, "s3:prefix=home/a", false},
		{`{"StringNotLike":{"s3:prefix":"home/*"}}`, "s3:prefix=other", true},
		{`{"StringEqualsIfExists":{"s3:prefix":"a"}}`, "", true},
		{`{"StringEqualsIfExists":{"s3:prefix":"a"}}`, "s3:prefix=b", false},
		{`{"StringNotEqualsIfExists":{"s3:prefix":"a"}}`, "", true},

		{`{"StringLike":{"s3:prefix":"home/${aws:username}/*"}}`, "s3:prefix=home/alice/x", true},
		{`{"StringLike":{"s3:prefix":"home/${aws:username}/*"}}`, "s3:prefix=home/bob/x", false},
		{`{"StringLike":{"s3:prefix":"home/${AWS:UserName}/*"}}`, "s3:prefix=home/alice/x", true},
		{`{"StringLike":{"s3:prefix":"${s3:delimiter}"}}`, "s3:delimiter=* s3:prefix=anything", false},
		{`{"StringLike":{"s3:prefix":"${s3:delimiter}"}}`, "s3:delimiter=* s3:prefix=*", true},
		{`{"StringLike":{"s3:prefix":"${s3:delimiter}"}}`, "s3:prefix=", false},
		{`{"StringLike":{"s3:prefix":"${s3:delimiter, 'none'}"}}`, "s3:prefix=none", true},
		{`{"StringLike":{"s3:prefix":"${s3:delimiter, 'none'}"}}`, "s3:prefix=none s3:delimiter=/", false},
		{`{"StringLike":{"s3:prefix":"a${*}b"}}`, "s3:prefix=axb", false},
		{`{"StringLike":{"s3:prefix":"a${*}b"}}`, "s3:prefix=a*b", true},
		{`{"StringLike":{"s3:prefix":"a${?}${$}b"}}`, "s3:prefix=a?$b", true},

		{`{"NumericEquals":{"s3:max-keys":"10"}}`, "s3:max-keys=10", true},
		{`{"NumericEquals":{"s3:max-keys":10}}`, "s3:max-keys=10.0", true},
		{`{"NumericEquals":{"s3:max-keys":"9007199254740993"}}`, "s3:max-keys=9007199254740992", false},
		{`{"NumericNotEquals":{"s3:max-keys":"10"}}`, "s3:max-keys=10", false},
		{`{"NumericNotEquals":{"s3:max-keys":"10"}}`, "", true},
		{`{"NumericLessThan":{"s3:max-keys":"10"}}`, "s3:max-keys=9", true},
		{`{"NumericLessThan":{"s3:max-keys":"10"}}`, "s3:max-keys=10", false},
		{`{"NumericLessThanEquals":{"s3:max-keys":"10"}}`, "s3:max-keys=10", true},
		{`{"NumericLessThanEquals":{"s3:max-keys":"10"}}`, "s3:max-keys=many", false},
		{`{"NumericGreaterThan":{"s3:max-keys":"10"}}`, "s3:max-keys=100", true},
		{`{"NumericGreaterThanEquals":{"s3:max-keys":"-1"}}`, "s3:max-keys=-1", true},
		{`{"NumericGreaterThan":{"s3:max-keys":"10"}}`, "s3:max-keys=1e9", false},

		{`{"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}`, "aws:CurrentTime=2026-12-31T23:59:59Z", true},
		{`{"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}`, "aws:CurrentTime=2027-01-01T00:00:00Z", false},
		{`{"DateGreaterThan":{"aws:CurrentTime":"2027-01-01T00:00:00+01:00"}}`, "aws:CurrentTime=2026-12-31T23:30:00Z", true},
		{`{"DateGreaterThanEquals":{"aws:CurrentTime":"2027-01-01"}}`, "aws:CurrentTime=2027-01-01T00:00:00Z", true},
		{`{"DateLessThanEquals":{"aws:EpochTime":"1700000000"}}`, "aws:EpochTime=1700000000", true},
		{`{"DateEquals":{"aws:EpochTime":"1970-01-02T00:00:00Z"}}`, "aws:EpochTime=86400", true},
		{`{"DateNotEquals":{"aws:EpochTime":"86400"}}`, "aws:EpochTime=86400", false},

		{`{"Bool":{"aws:SecureTransport":"true"}}`, "aws:SecureTransport=true", true},
		{`{"Bool":{"aws:SecureTransport":true}}`, "aws:SecureTransport=true", true},
		{`{"Bool":{"aws:SecureTransport":"false"}}`, "aws:SecureTransport=true", false},
		{`{"Bool":{"aws:SecureTransport":"false"}}`, "", false},
		{`{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}`, "", true},

		{`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "aws:SourceIp=192.0.2.255", true},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "aws:SourceIp=192.0.3.0", false},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.7"}}`, "aws:SourceIp=192.0.2.7", true},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "aws:SourceIp=::ffff:192.0.2.9", true},
		{`{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]}}`, "aws:SourceIp=2001:db8:1::1", true},
		{`{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "aws:SourceIp=192.0.2.1", false},
		{`{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","203.0.113.0/24"]}}`, "aws:SourceIp=203.0.113.9", false},
		{`{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "", true},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "aws:SourceIp=192.0.2.1,10.0.0.1", false},

		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/al*"}}`, "", true},
		{`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/alice"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:*:*:*:*:*"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:alice"}}`, "", false},
		{`{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/bob"}}`, "", true},
		{`{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/${aws:username}"}}`, "", false},

		{`{"Null":{"s3:prefix":"true"}}`, "", true},
		{`{"Null":{"s3:prefix":"true"}}`, "s3:prefix=a", false},
		{`{"Null":{"s3:prefix":"false"}}`, "s3:prefix=a", true},
		{`{"Null":{"s3:prefix":false}}`, "", false},
		{`{"Null":{"aws:TagKeys":"false"}}`, "aws:TagKeys=a|b", true},

		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=a|b", true},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=a|c", false},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, "", true},
		{`{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=c|b", true},
		{`{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=c|d", false},
		{`{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}`, "", false},
		{`{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=c|d", true},
		{`{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=c|b", false},
		{`{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, "", true},
		{`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=a|c", true},
		{`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, "aws:TagKeys=a|b", false},
		{`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, "", false},
		{`{"ForAnyValue:StringLike":{"s3:RequestObjectTagKeys":"cost*"}}`, "s3:RequestObjectTagKeys=name|cost-centre", true},
		{`{"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":"cost*"}}`, "s3:RequestObjectTagKeys=name|cost-centre", false},

		{`{"StringEquals":{"s3:ExistingObjectTag/Class":"public"}}`, "s3:existingobjecttag/class=public", true},
		{`{"StringEquals":{"s3:ExistingObjectTag/Class":"public"}}`, "s3:existingobjecttag/other=public", false},
		{`{"StringEquals":{"s3:RequestObjectTag/p":"${aws:username}"}}`, "s3:RequestObjectTag/p=alice", true},
	} {
		t.Run(tt.condition+" "+tt.set, func(t *testing.T) {
			p, err := ParseIdentity("p", document(tt.condition))
			if err != nil {
				t.Fatal(err)
			}
			got := p.Evaluate(request(strings.Fields(tt.set)...))
			if (got.Effect == acl.Allow) != tt.want || tt.want && got.Statement != "only" {
				t.Errorf("got %+v, want allowed %v", got, tt.want)
			}
		})
	}
}

// TestStatements: IAM User Guide, the elements Action, Resource, Principal and their negations;
// S3 User Guide, "Bucket policies".
func TestStatements(t *testing.T) {
	for _, tt := range []struct {
		name, statements, set string
		want                  acl.Effect
	}{
		{"action", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`, "", acl.Allow},
		{"action in other case", `{"Effect":"Allow","Action":"S3:getobject","Resource":"arn:aws:s3:::b/*"}`, "", acl.Allow},
		{"another action", `{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}`, "", acl.None},
		{"action with a star", `{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}`, "", acl.Allow},
		{"action with a question mark", `{"Effect":"Allow","Action":"s3:?etObject","Resource":"arn:aws:s3:::b/*"}`, "", acl.Allow},
		{"all actions", `{"Effect":"Allow","Action":"*","Resource":"*"}`, "action=admin:SetSetting resource=*", acl.Allow},
		{"actions of S3 are none of admin", `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, "action=admin:SetSetting resource=*", acl.None},
		{"unknown action of a request", `{"Effect":"Allow","Action":"*","Resource":"*"}`, "action=s3:Nothing", acl.None},
		{"NotAction", `{"Effect":"Allow","NotAction":"s3:Put*","Resource":"*"}`, "", acl.Allow},
		{"NotAction that names it", `{"Effect":"Allow","NotAction":["s3:Put*","s3:GetObject"],"Resource":"*"}`, "", acl.None},
		{"resource of another bucket", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::c/*"}`, "", acl.None},
		{"resource is the bucket only", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b"}`, "", acl.None},
		{"object resource is not the bucket", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`, "action=s3:ListBucket resource=arn:aws:s3:::b", acl.None},
		{"bucket resource", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b"}`, "action=s3:ListBucket resource=arn:aws:s3:::b", acl.Allow},
		{"star reaches over slashes", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*.txt"}`, "", acl.Allow},
		{"resource is case sensitive", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/Docs/*"}`, "", acl.None},
		{"NotResource", `{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::c/*"}`, "", acl.Allow},
		{"NotResource that names it", `{"Effect":"Allow","Action":"s3:*","NotResource":["arn:aws:s3:::c/*","arn:aws:s3:::b/docs/*"]}`, "", acl.None},
		{"variable in a resource", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"}`, "resource=arn:aws:s3:::b/alice/x", acl.Allow},
		{"variable of somebody else", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"}`, "resource=arn:aws:s3:::b/bob/x", acl.None},
		{"a name that looks like a wildcard is none", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"}`, "aws:username=* resource=arn:aws:s3:::b/bob/x", acl.None},
		{"variable that the request has not", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${s3:prefix}/*"}`, "resource=arn:aws:s3:::b//x", acl.None},
		{"deny wins, before", `{"Effect":"Deny","Action":"s3:*","Resource":"*"},{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, "", acl.Deny},
		{"deny wins, behind", `{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*"}`, "", acl.Deny},
		{"deny of something else", `{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}`, "", acl.Allow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParseIdentity("p", []byte(`{"Version":"2012-10-17","Statement":[`+tt.statements+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Evaluate(request(strings.Fields(tt.set)...)); got.Effect != tt.want {
				t.Errorf("got %+v, want effect %v", got, tt.want)
			}
		})
	}
}

// TestPrincipals: IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal".
func TestPrincipals(t *testing.T) {
	root := acl.Principal{Kind: acl.Root, ID: "root", Account: account}
	alice := acl.Principal{Kind: acl.User, ID: "user:alice", Name: "alice", Account: account}
	bob := acl.Principal{Kind: acl.User, ID: "user:bob", Name: "bob", Account: account}
	nobody := acl.Principal{}
	for _, tt := range []struct {
		effect, element string
		who             acl.Principal
		want            bool
	}{
		{"Allow", `"Principal":"*"`, alice, true},
		{"Allow", `"Principal":"*"`, nobody, true},
		{"Allow", `"Principal":{"AWS":"*"}`, nobody, true},
		{"Allow", `"Principal":{"AWS":["*"]}`, root, true},
		{"Allow", `"Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"}`, alice, true},
		{"Allow", `"Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"}`, bob, false},
		{"Allow", `"Principal":{"AWS":"arn:aws:iam::210987654321:user/alice"}`, alice, false},
		{"Allow", `"Principal":{"AWS":["arn:aws:iam::123456789012:user/bob","arn:aws:iam::123456789012:user/alice"]}`, alice, true},
		{"Allow", `"Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"}`, nobody, false},
		{"Allow", `"Principal":{"AWS":"123456789012"}`, root, true},
		{"Allow", `"Principal":{"AWS":"123456789012"}`, alice, false},
		{"Allow", `"Principal":{"AWS":"arn:aws:iam::123456789012:root"}`, alice, false},
		{"Deny", `"Principal":{"AWS":"arn:aws:iam::123456789012:root"}`, alice, true},
		{"Deny", `"Principal":{"AWS":"123456789012"}`, nobody, false},
		{"Allow", `"Principal":{"CanonicalUser":"user:alice"}`, alice, true},
		{"Allow", `"Principal":{"CanonicalUser":"user:alice"}`, bob, false},
		{"Allow", `"Principal":{"CanonicalUser":"` + acl.CanonicalID("user:alice") + `"}`, alice, true},
		{"Allow", `"Principal":{"CanonicalUser":"` + acl.CanonicalID("user:alice") + `"}`, root, false},
		{"Allow", `"Principal":{"CanonicalUser":"` + acl.CanonicalID("root") + `"}`, alice, false},
		{"Deny", `"Principal":{"CanonicalUser":"` + acl.CanonicalID("root") + `"}`, alice, true},
		{"Deny", `"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:root"}`, alice, true},
		{"Deny", `"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:root"}`, root, false},
		{"Deny", `"NotPrincipal":{"AWS":["arn:aws:iam::123456789012:root","arn:aws:iam::123456789012:user/alice"]}`, alice, false},
		{"Deny", `"NotPrincipal":{"AWS":["arn:aws:iam::123456789012:root","arn:aws:iam::123456789012:user/alice"]}`, bob, true},
		{"Deny", `"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/alice"}`, alice, false},
		{"Deny", `"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/alice"}`, bob, true},
		{"Deny", `"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/alice"}`, nobody, true},
	} {
		t.Run(fmt.Sprint(tt.effect, tt.element, tt.who.ID), func(t *testing.T) {
			p, err := ParseBucket("b", fmt.Appendf(nil, `{"Statement":{"Effect":%q,%s,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`, tt.effect, tt.element))
			if err != nil {
				t.Fatal(err)
			}
			r := request()
			r.SetPrincipal(&tt.who)
			if got := p.Evaluate(r).Effect != acl.None; got != tt.want {
				t.Errorf("matches %v, want %v", got, tt.want)
			}
		})
	}
}

// TestVariablesOfTheOldVersion: IAM User Guide, "Version": variables are text in 2008-10-17.
func TestVariablesOfTheOldVersion(t *testing.T) {
	p, err := ParseIdentity("p", []byte(`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Evaluate(request("resource=arn:aws:s3:::b/alice")).Effect != acl.None || p.Evaluate(request("resource=arn:aws:s3:::b/${aws:username}")).Effect != acl.Allow {
		t.Error("the old version replaces variables")
	}
}

func TestCanned(t *testing.T) {
	for name, rights := range map[string]map[string]bool{
		ReadOnly:  {"s3:GetObject": true, "s3:ListBucket": true, "s3:PutObject": false, "s3:DeleteObject": false, "s3:GetBucketPolicy": false, "admin:ListUsers": false},
		WriteOnly: {"s3:PutObject": true, "s3:GetObject": false, "s3:DeleteObject": false, "s3:ListBucket": false, "admin:ListUsers": false},
		ReadWrite: {"s3:PutObject": true, "s3:GetObject": true, "s3:DeleteObject": true, "admin:ListUsers": false},
		Admin:     {"s3:PutObject": true, "admin:SetSetting": true, "sts:AssumeRole": true},
	} {
		text, ok := Canned(name)
		p, err := ParseIdentity(name, text)
		if !ok || err != nil || !json.Valid(text) {
			t.Fatalf("%s: %v", name, err)
		}
		for action, want := range rights {
			if got := p.Evaluate(request("action="+action)).Effect == acl.Allow; got != want {
				t.Errorf("%s: %s allowed %v, want %v", name, action, got, want)
			}
		}
	}
	if _, ok := Canned("other"); ok {
		t.Error("there is another canned policy")
	}
}

func TestCatalogueFits(t *testing.T) {
	if max := len(actionSet{}) * 64; len(catalogue) > max {
		t.Fatalf("%d actions do not fit into a set of %d", len(catalogue), max)
	}
	if len(numbers) != len(catalogue) {
		t.Errorf("%d names for %d actions", len(numbers), len(catalogue))
	}
	for name, want := range map[string]Target{"s3:GetObject": OnObject, "s3:ListBucket": OnBucket, "s3:ListAllMyBuckets": OnService} {
		if got, ok := TargetOf(name); !ok || got != want {
			t.Errorf("%s acts on %v", name, got)
		}
	}
}
