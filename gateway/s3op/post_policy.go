package s3op

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"shoal/gateway/s3err"
)

// postPolicy is what a POST form may hold
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html).
type postPolicy struct {
	expiration time.Time
	conditions []postCondition
	min, max   int64 // of the file, in bytes
}

// postCondition is one condition on a field.
type postCondition struct {
	operator string // eq, starts-with
	field    string // lower case
	value    string
}

func badPolicy(text string) error {
	return s3err.Newf(s3err.InvalidPolicyDocument, "Invalid Policy: %s", text)
}

func notAllowed403(text string) error {
	return s3err.Newf(s3err.AccessDenied, "Invalid according to Policy: %s", text)
}

// parsePostPolicy reads the policy of a form, which is JSON in base64.
func parsePostPolicy(encoded string) (*postPolicy, error) {
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, badPolicy("Invalid Base64 Encoding.")
	}
	var raw struct {
		Expiration *string           `json:"expiration"`
		Conditions []json.RawMessage `json:"conditions"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return nil, badPolicy("Invalid JSON.")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, badPolicy("Invalid JSON.")
	}
	if raw.Expiration == nil {
		return nil, badPolicy("Policy missing expiration.")
	}
	if raw.Conditions == nil {
		return nil, badPolicy("Policy missing conditions.")
	}
	p := &postPolicy{max: math.MaxInt64}
	if p.expiration, err = time.Parse(time.RFC3339, *raw.Expiration); err != nil {
		return nil, badPolicy("Invalid 'expiration' value: '" + *raw.Expiration + "'")
	}
	for _, c := range raw.Conditions {
		if err := p.condition(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// condition reads one condition in either of its forms.
func (p *postPolicy) condition(raw json.RawMessage) error {
	var pairs map[string]string
	if json.Unmarshal(raw, &pairs) == nil && pairs != nil {
		if len(pairs) != 1 {
			return badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
		}
		for name, value := range pairs {
			p.conditions = append(p.conditions, postCondition{"eq", strings.ToLower(name), value})
		}
		return nil
	}
	var list []any
	if json.Unmarshal(raw, &list) != nil || len(list) != 3 {
		return badPolicy("Invalid Condition.")
	}
	operator, ok := list[0].(string)
	if !ok {
		return badPolicy("Invalid Condition.")
	}
	switch operator = strings.ToLower(operator); operator {
	case "eq", "starts-with":
		field, ok1 := list[1].(string)
		value, ok2 := list[2].(string)
		if !ok1 || !ok2 || !strings.HasPrefix(field, "$") {
			return badPolicy("Invalid Condition.")
		}
		p.conditions = append(p.conditions, postCondition{operator, strings.ToLower(field[1:]), value})
	case "content-length-range":
		least, ok1 := wholeNumber(list[1])
		most, ok2 := wholeNumber(list[2])
		if !ok1 || !ok2 || least > most {
			return badPolicy("Invalid content-length-range.")
		}
		p.min, p.max = max(p.min, least), min(p.max, most)
	default:
		return badPolicy("Invalid Condition: unknown operation '" + operator + "'.")
	}
	return nil
}

func wholeNumber(v any) (int64, bool) {
	n, ok := v.(float64)
	return int64(n), ok && n >= 0 && n <= 1<<53 && n == math.Trunc(n)
}

// freeFields need no condition.
var freeFields = []string{"x-amz-signature", "signature", "awsaccesskeyid", "policy", "file"}

// check holds a form's fields against the policy: every condition, and no field without one.
func (p *postPolicy) check(bucket string, f *form, now time.Time) error {
	if !now.Before(p.expiration) {
		return notAllowed403("Policy expired.")
	}
	covered := make(map[string]bool)
	for _, c := range p.conditions {
		covered[c.field] = true
		have := f.fields[c.field]
		if c.field == "bucket" {
			have = bucket
		}
		if c.operator == "eq" && have != c.value || c.operator == "starts-with" && !strings.HasPrefix(have, c.value) {
			return notAllowed403(`Policy Condition failed: ["` + c.operator + `", "$` + c.field + `", "` + c.value + `"]`)
		}
	}
	for _, name := range f.order {
		if !covered[name] && !slices.Contains(freeFields, name) && !strings.HasPrefix(name, "x-ignore-") {
			return notAllowed403("Extra input fields: " + name)
		}
	}
	return nil
}
