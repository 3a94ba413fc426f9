package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"shoal/acl"
)

// This file has a second evaluator, written from AWS's pages alone, without regard to speed. It takes documents as
// encoding/json gives them, patterns are regular expressions, and nothing of the package is used.

// reference evaluates a document that the package has accepted.
func reference(text []byte, r *acl.Request) acl.Effect {
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(err)
	}
	effect := acl.None
	for _, s := range listOf(doc["Statement"]) {
		st := s.(map[string]any)
		if !refApplies(st, r, doc["Version"] == "2012-10-17") {
			continue
		}
		if st["Effect"] == "Deny" {
			return acl.Deny
		}
		effect = acl.Allow
	}
	return effect
}

func listOf(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func refApplies(st map[string]any, r *acl.Request, variables bool) bool {
	action := func(p any) bool {
		return wildcard(strings.ToLower(p.(string)), false, nil).MatchString(strings.ToLower(r.Action))
	}
	resource := func(p any) bool {
		re := wildcard(p.(string), variables, r)
		return re != nil && re.MatchString(r.Resource)
	}
	return refEither(st, "Action", action) && refEither(st, "Resource", resource) && refPrincipal(st, r) && refConditions(st["Condition"], r, variables)
}

// refEither asks the values of an element, or those of its negation.
func refEither(st map[string]any, name string, fits func(any) bool) bool {
	if v, ok := st[name]; ok {
		return slices.ContainsFunc(listOf(v), fits)
	}
	return !slices.ContainsFunc(listOf(st["Not"+name]), fits)
}

// wildcard makes a regular expression, nil when a variable has no value.
func wildcard(pattern string, variables bool, r *acl.Request) *regexp.Regexp {
	var out strings.Builder
	out.WriteString(`(?s)\A`)
	for pattern != "" {
		if variables && strings.HasPrefix(pattern, "${") {
			name, rest, _ := strings.Cut(pattern[2:], "}")
			value, ok := refVariable(name, r)
			if !ok {
				return nil
			}
			out.WriteString(regexp.QuoteMeta(value))
			pattern = rest
			continue
		}
		first, size := utf8.DecodeRuneInString(pattern)
		switch first {
		case '*':
			out.WriteString(".*")
		case '?':
			out.WriteString(".")
		default:
			out.WriteString(regexp.QuoteMeta(string(first)))
		}
		pattern = pattern[size:]
	}
	return compiled(out.String() + `\z`)
}

var compiledOnes = make(map[string]*regexp.Regexp)

// compiled is regexp.MustCompile for patterns that come again. It is for one goroutine.
func compiled(text string) *regexp.Regexp {
	if len(compiledOnes) > 10_000 { // while fuzzing
		clear(compiledOnes)
	}
	if compiledOnes[text] == nil {
		compiledOnes[text] = regexp.MustCompile(text)
	}
	return compiledOnes[text]
}

func refVariable(name string, r *acl.Request) (string, bool) {
	if name == "*" || name == "?" || name == "$" {
		return name, true
	}
	name, fallback, has := strings.Cut(name, ",")
	if v := r.Keys[strings.ToLower(strings.TrimSpace(name))]; len(v) == 1 {
		return v[0], true
	}
	if fallback = strings.TrimSpace(fallback); has {
		fallback = fallback[1 : len(fallback)-1] // without its quotes
	}
	return fallback, has
}

func refPrincipal(st map[string]any, r *acl.Request) bool {
	if p, ok := st["Principal"]; ok {
		return refNamed(p, &r.Principal, st["Effect"] == "Deny")
	}
	if p, ok := st["NotPrincipal"]; ok {
		return !refNamed(p, &r.Principal, false)
	}
	return true
}

// refNamed says whether a principal is named; wholeAccount that an account stands for everybody in it.
func refNamed(p any, who *acl.Principal, wholeAccount bool) bool {
	if p == "*" {
		return true
	}
	account := "arn:aws:iam::" + who.Account + ":root"
	for kind, names := range p.(map[string]any) {
		for _, n := range listOf(names) {
			switch name := n.(string); {
			case kind == "AWS" && name == "*":
				return true
			case who.Kind == acl.Anonymous:
			case kind == "AWS" && (name == account || name == who.Account), name == acl.CanonicalID("root"):
				if wholeAccount || who.Kind == acl.Root {
					return true
				}
			case kind == "AWS" && name == who.ARN(), kind == "CanonicalUser" && (name == acl.CanonicalID(who.ID) || name == who.ID):
				return true
			}
		}
	}
	return false
}

func refConditions(c any, r *acl.Request, variables bool) bool {
	all, _ := c.(map[string]any)
	for _, operator := range slices.Sorted(maps.Keys(all)) { // in order, for fuzzing likes to see the same path again
		keys := all[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if !refCondition(operator, r.Keys[strings.ToLower(key)], listOf(keys[key]), r, variables) {
				return false
			}
		}
	}
	return true
}

func refCondition(operator string, have []string, values []any, r *acl.Request, variables bool) bool {
	if operator == "Null" {
		return slices.ContainsFunc(values, func(v any) bool {
			return strings.EqualFold(fmt.Sprint(v), "true") == (len(have) == 0)
		})
	}
	set, plain, ok := strings.Cut(operator, ":")
	if !ok {
		set, plain = "", operator
	}
	plain, ifExists := strings.CutSuffix(plain, "IfExists")
	positive := strings.Replace(plain, "Not", "", 1)
	negated := positive != plain
	if len(have) == 0 {
		return ifExists || set == "ForAllValues" || negated && set == ""
	}
	holds := func(value string) bool {
		return negated != slices.ContainsFunc(values, func(v any) bool { return refCompare(positive, value, fmt.Sprint(v), r, variables) })
	}
	if set == "ForAnyValue" {
		return slices.ContainsFunc(have, holds)
	}
	return !slices.ContainsFunc(have, func(value string) bool { return !holds(value) })
}

func refCompare(operator, value, want string, r *acl.Request, variables bool) bool {
	switch operator {
	case "StringEquals", "StringEqualsIgnoreCase":
		text, ok := refReplace(want, variables, r)
		if operator == "StringEquals" {
			return ok && text == value
		}
		return ok && strings.EqualFold(text, value)
	case "StringLike":
		re := wildcard(want, variables, r)
		return re != nil && re.MatchString(value)
	case "ArnEquals", "ArnLike":
		p, v := strings.SplitN(want, ":", 6), strings.SplitN(value, ":", 6)
		for i := range 6 {
			if len(v) != 6 {
				return false
			}
			if re := wildcard(p[i], variables, r); re == nil || !re.MatchString(v[i]) {
				return false
			}
		}
		return true
	case "Bool":
		return strings.EqualFold(value, want)
	case "IpAddress":
		if !strings.Contains(want, "/") {
			return net.ParseIP(want).Equal(net.ParseIP(value))
		}
		_, network, err := net.ParseCIDR(want)
		return err == nil && network.Contains(net.ParseIP(value))
	}
	kind, order, _ := strings.Cut(operator, "Numeric")
	if kind == "" {
		a, aerr := strconv.ParseFloat(value, 64)
		b, _ := strconv.ParseFloat(want, 64)
		return aerr == nil && inOrder(order, a, b)
	}
	return inOrder(strings.TrimPrefix(operator, "Date"), refSeconds(value), refSeconds(want))
}

func inOrder(order string, a, b float64) bool {
	switch order {
	case "Equals":
		return a == b
	case "LessThan":
		return a < b
	case "LessThanEquals":
		return a <= b
	case "GreaterThan":
		return a > b
	}
	return a >= b
}

func refSeconds(text string) float64 {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return float64(at.Unix())
	}
	n, _ := strconv.ParseFloat(text, 64)
	return n
}

// refReplace puts in the values of variables.
func refReplace(text string, variables bool, r *acl.Request) (string, bool) {
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(text, "${")
		if !ok || !variables {
			return out.String() + text, true
		}
		name, rest, _ := strings.Cut(after, "}")
		value, ok := refVariable(name, r)
		if !ok {
			return "", false
		}
		out.WriteString(before + value)
		text = rest
	}
}

// draw makes documents and requests, from few words, so that they meet often.
type draw struct{ *rand.Rand }

func newDraw(seed uint64) draw { return draw{rand.New(rand.NewPCG(seed, 0))} }

func pick[T any](d draw, from ...T) T { return from[d.IntN(len(from))] }

// some gives one value, or a list.
func (d draw) some(from ...string) any {
	if d.IntN(2) == 0 {
		return pick(d, from...)
	}
	var out []string
	for range 1 + d.IntN(3) {
		out = append(out, pick(d, from...))
	}
	return out
}

type object = map[string]any

var (
	drawnActions   = []string{"s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:Get*", "s3:*", "*", "s3:?etObject", "S3:put*", "s3:GetBucketPolicy", "sts:AssumeRole"}
	drawnResources = []string{"*", "arn:aws:s3:::*", "arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b/docs/*", "arn:aws:s3:::b/*.txt", "arn:aws:s3:::b/${aws:username}/*",
		"arn:aws:s3:::b/*a*a*", "arn:aws:s3:::?/docs/?.txt", "arn:aws:s3:::b/${s3:prefix, 'docs'}/*", "arn:aws:s3:::b/${s3:delimiter}*", "arn:aws:s3:::b*"}
	drawnPrincipals = []any{"*", object{"AWS": "*"}, object{"AWS": account}, object{"AWS": "arn:aws:iam::" + account + ":root"}, object{"AWS": "arn:aws:iam::" + account + ":user/alice"},
		object{"AWS": []any{"arn:aws:iam::" + account + ":user/bob", "arn:aws:iam::" + account + ":root"}}, object{"CanonicalUser": acl.CanonicalID("user:alice")},
		object{"CanonicalUser": acl.CanonicalID("root"), "AWS": "arn:aws:iam::" + account + ":user/alice"}, object{"AWS": "111122223333"}}
	drawnTexts = []string{"a", "A", "docs", "docs/", "*", "d*s", "?", "${aws:username}", "${s3:delimiter}", "${s3:delimiter, 'a'}", "al${*}ce", "alice", ""}
)

func (d draw) statement(bucket bool) object {
	st := object{"Effect": pick(d, "Allow", "Allow", "Deny")}
	st[pick(d, "Action", "Action", "Action", "NotAction")] = d.some(drawnActions...)
	st[pick(d, "Resource", "Resource", "Resource", "NotResource")] = d.some(drawnResources...)
	if bucket {
		if st["Principal"] = pick(d, drawnPrincipals...); st["Effect"] == "Deny" && d.IntN(3) == 0 {
			st["NotPrincipal"] = st["Principal"]
			delete(st, "Principal")
		}
	}
	if d.IntN(2) == 0 {
		st["Condition"] = d.conditions()
	}
	return st
}

func (d draw) conditions() object {
	out := object{}
	for range 1 + d.IntN(2) {
		name, key, values := d.condition()
		out[name] = object{key: values}
	}
	return out
}

// condition draws an operator with a key and values that fit.
func (d draw) condition() (operator, key string, values any) {
	exists := pick(d, "", "", "IfExists")
	order := pick(d, "Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
	switch d.IntN(8) {
	case 0:
		return "Null", pick(d, "s3:prefix", "aws:TagKeys", "s3:max-keys"), pick[any](d, "true", "false", true, false)
	case 1:
		return "Numeric" + order + exists, pick(d, "s3:max-keys", "s3:TlsVersion"), d.some("5", "10", "1.2", "-1")
	case 2:
		return "Date" + order + exists, "aws:CurrentTime", d.some("2027-01-01T00:00:00Z", "1798761600", "2026-01-01T00:00:00+01:00")
	case 3:
		return "Bool" + exists, "aws:SecureTransport", d.some("true", "false")
	case 4:
		return pick(d, "IpAddress", "NotIpAddress") + exists, "aws:SourceIp", d.some("192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "0.0.0.0/0")
	case 5:
		return pick(d, "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike") + exists, "aws:PrincipalArn",
			d.some("arn:aws:iam::*:user/a*", "arn:aws:iam::"+account+":user/bob", "arn:*:*:*:*:*", "arn:aws:iam::?:*")
	}
	operator = pick(d, "StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike") + exists
	if d.IntN(3) == 0 {
		return pick(d, "ForAllValues:", "ForAnyValue:") + operator, pick(d, "aws:TagKeys", "s3:RequestObjectTagKeys"), d.some(drawnTexts...)
	}
	return operator, pick(d, "s3:prefix", "S3:Prefix", "aws:username"), d.some(drawnTexts...)
}

// statements are those of one document.
type statements []object

func (d draw) statements(bucket bool) statements {
	var out statements
	for range 1 + d.IntN(4) {
		out = append(out, d.statement(bucket))
	}
	return out
}

func (s statements) text(t testing.TB, version string) []byte {
	t.Helper()
	text, err := json.Marshal(object{"Version": version, "Statement": s})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustParse(t testing.TB, text []byte, bucket bool) *Policy {
	t.Helper()
	p, err := parse("p", text, bucket)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

var people = []acl.Principal{
	{Kind: acl.Root, ID: "root", Account: account},
	{Kind: acl.User, ID: "user:alice", Name: "alice", Account: account},
	{Kind: acl.User, ID: "user:bob", Name: "bob", Account: account},
	{},
}

func (d draw) request() *acl.Request {
	r := &acl.Request{}
	r.Action = pick(d, "s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetBucketPolicy", "sts:AssumeRole")
	r.Resource = pick(d, "arn:aws:s3:::b", "arn:aws:s3:::b/docs/a.txt", "arn:aws:s3:::b/alice/x", "arn:aws:s3:::b/aaa", "arn:aws:s3:::b/", "arn:aws:s3:::c/docs/b.txt", "*")
	who := pick(d, people...)
	r.SetPrincipal(&who)
	for _, k := range []struct {
		name   string
		values []string
	}{
		{"s3:prefix", []string{"a", "docs", "docs/", "alice", "", "*"}}, {"s3:delimiter", []string{"/", "*", "a", ""}}, {"s3:max-keys", []string{"5", "7", "10", "many"}},
		{"s3:TlsVersion", []string{"1.2", "1.3"}}, {"aws:CurrentTime", []string{"2027-01-01T00:00:00Z", "2025-12-31T23:30:00Z", "2028-01-01T00:00:00Z"}},
		{"aws:SecureTransport", []string{"true", "false"}}, {"aws:SourceIp", []string{"192.0.2.1", "192.0.2.2", "203.0.113.1", "2001:db8::5"}},
	} {
		if d.IntN(3) > 0 {
			r.Set(k.name, pick(d, k.values...))
		}
	}
	for _, name := range []string{"aws:TagKeys", "s3:RequestObjectTagKeys"} {
		if n := d.IntN(4); n > 0 {
			var values []string
			for range n {
				values = append(values, pick(d, "a", "A", "docs", "alice", "dozens"))
			}
			r.Set(name, values...)
		}
	}
	return r
}

// TestReference holds the package against the second evaluator, on documents and requests of a seed.
func TestReference(t *testing.T) {
	d := newDraw(1)
	counts := make(map[acl.Effect]int)
	for range 6000 {
		bucket := d.IntN(2) == 0
		text := d.statements(bucket).text(t, pick(d, "2012-10-17", "2012-10-17", "2008-10-17"))
		p := mustParse(t, text, bucket)
		for range 5 {
			r := d.request()
			got, want := p.Evaluate(r).Effect, reference(text, r)
			if counts[want]++; got != want {
				t.Fatalf("%s\nasked %+v\ngives %v, the reference %v", text, r, got, want)
			}
		}
	}
	for _, e := range []acl.Effect{acl.None, acl.Allow, acl.Deny} {
		if counts[e] < 1000 {
			t.Errorf("effect %v came %d times only", e, counts[e])
		}
	}
}
