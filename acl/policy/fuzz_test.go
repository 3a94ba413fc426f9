package policy

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"shoal/acl"
)

// FuzzParse: a document is refused with an *Error or evaluates without panic, as the reference does where that reads its
// values, and what is denied stays so when a statement that allows all is put before it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Deny","NotAction":"s3:Put*","NotResource":"arn:aws:s3:::b/${aws:username, 'x'}/*","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a?","*"]},"Null":{"s3:prefix":true}}}]}`))
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Principal":{"AWS":["123456789012"]},"Action":"s3:*","Resource":"arn:aws:s3:::b*"}}`))
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"},"NumericLessThan":{"s3:max-keys":5},"DateGreaterThan":{"aws:CurrentTime":"2020-01-01"}}}}`))
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/` + strings.Repeat("*a", 40) + `"}}`))
	for i := range 8 {
		d := newDraw(uint64(100 + i))
		f.Add(d.statements(i%2 == 0).text(f, version2012))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		requests := []*acl.Request{request("s3:prefix=a", "aws:TagKeys=a|b", "s3:max-keys=3", "aws:CurrentTime=2027-01-01T00:00:00Z"), request("action=s3:ListBucket", "resource=arn:aws:s3:::b")}
		for _, parse := range []func(string, []byte) (*Policy, error){ParseIdentity, ParseBucket} {
			p, err := parse("b", text)
			var refused *Error
			if err != nil {
				if !errors.As(err, &refused) {
					t.Fatalf("an error of another type: %v", err)
				}
				continue
			}
			p.Public()
			wide := new(Policy)
			for _, st := range append([]*statement{allowAll(t)}, p.statements...) {
				wide.add(st)
			}
			for _, r := range requests {
				v := p.Evaluate(r)
				if v.Effect == acl.Deny && wide.Evaluate(r).Effect != acl.Deny {
					t.Fatalf("a deny lost")
				}
				if !comparesTexts(p) {
					continue
				}
				if want := reference(text, r); v.Effect != want {
					t.Fatalf("asked %+v: %v, the reference %v", r, v.Effect, want)
				}
			}
		}
	})
}

// comparesTexts says that no condition has values of a kind that the reference reads in their usual forms only.
func comparesTexts(p *Policy) bool {
	return !slices.ContainsFunc(p.statements, func(st *statement) bool {
		return slices.ContainsFunc(st.conditions, func(c condition) bool {
			return !strings.HasPrefix(c.name, "String") && c.name != "Bool" && c.name != "Null"
		})
	})
}

// denseDocument has statements with one resource each, and a condition, until it is as large as one may be.
func denseDocument(resource, condition string) []byte {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	one := `{"Effect":"Allow","Action":"s3:GetObject","Resource":` + resource + condition + `}`
	n := max((SizeMax-60)/(len(one)+1), 1)
	return []byte(`{"Version":"2012-10-17","Statement":[` + strings.Repeat(one+",", n-1) + one + `]}`)
}

// memoryMax bounds what reading a document of the largest size may allocate, and keeps, in bytes.
const memoryMax = 8 << 20

// TestBounded reads and asks the worst documents. Where a wildcard that does not fit sends the matcher back, the time is
// the product of pattern and text, not a power of the stars: that would not end.
func TestBounded(t *testing.T) {
	long := strings.Repeat("a", 1024)
	for name, text := range map[string][]byte{
		"stars in a resource":      denseDocument(`"arn:aws:s3:::b/`+strings.Repeat("*a", 9000)+`b"`, ""),
		"stars in many resources":  denseDocument(`"arn:aws:s3:::b/`+strings.Repeat("*a", 20)+`b"`, ""),
		"stars and question marks": denseDocument(`"arn:aws:s3:::b/`+strings.Repeat("*?", 9000)+`b"`, ""),
		"stars in a condition":     denseDocument(`"*"`, `{"StringLike":{"s3:prefix":"`+strings.Repeat("*a", 4000)+`b"}}`),
		"variables":                denseDocument(`"arn:aws:s3:::b/`+strings.Repeat("*${s3:prefix}", 1400)+`b"`, ""),
		"many values":              denseDocument(`"*"`, `{"ForAllValues:StringLike":{"aws:TagKeys":["`+strings.Repeat(`*b*","`, 2000)+`b"]}}`),
		"many actions":             []byte(`{"Statement":{"Effect":"Allow","Resource":"*","Action":["` + strings.Repeat(`*","`, 5000) + `*"]}}`),
		"many statements":          denseDocument(`"*"`, ""),
		"many names":               []byte(`{"Statement":{"Effect":"Allow","Resource":"*","Action":"*","Condition":{` + manyNames(1200) + `}}}`),
		"deep":                     []byte(`{"Statement":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`),
	} {
		t.Run(name, func(t *testing.T) {
			if len(text) > SizeMax {
				t.Fatalf("%d bytes", len(text))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p, err := ParseIdentity("p", text)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > memoryMax {
				t.Errorf("reading allocates %d bytes", took)
			}
			if err != nil {
				var refused *Error
				if name != "deep" && name != "many names" || !errors.As(err, &refused) {
					t.Fatal(err)
				}
				return
			}
			r := request("s3:prefix=" + long)
			r.Resource = "arn:aws:s3:::b/" + long
			for range 50 {
				r.Keys["aws:tagkeys"] = append(r.Keys["aws:tagkeys"], long[:128])
			}
			if allocs := testing.AllocsPerRun(10, func() { p.Evaluate(r) }); allocs > 0 {
				t.Errorf("an evaluation allocates %v times", allocs)
			}
		})
	}
}

// manyNames are conditions on keys that do not exist.
func manyNames(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`"S%d":{}`, i))
	}
	return strings.Join(out, ",")
}
