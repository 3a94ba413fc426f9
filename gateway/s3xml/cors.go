package s3xml

import "strconv"

// MaxCORS bounds a document of CORS rules in bytes, as AWS does.
const MaxCORS = 64 << 10

const (
	corsRulesMax = 100
	ruleIDMax    = 255
)

// CORSRule is one rule of a bucket's CORS configuration.
type CORSRule struct {
	ID      string
	Origins []string // at most one "*" in each
	Methods []string
	Headers []string // at most one "*" in each
	Expose  []string
	// MaxAge is for how many seconds a browser may keep the answer, -1 where the rule does
	// not say.
	MaxAge int
}

// ParseCORS reads the document of PutBucketCors. What the elements hold is not judged.
// ErrMalformed for what the document cannot be: no rules, more than 100, rules without
// origin or method.
func ParseCORS(text []byte) ([]CORSRule, error) {
	p, err := newParser(text, 8000)
	if err != nil {
		return nil, err
	}
	var rules []CORSRule
	err = p.document("CORSConfiguration", func(name string) error {
		if name != "CORSRule" {
			return malformed("element %s", name)
		}
		if len(rules) == corsRulesMax {
			return malformed("more than %d rules", corsRulesMax)
		}
		rule, err := p.corsRule()
		rules = append(rules, rule)
		return err
	})
	if err == nil && len(rules) == 0 {
		err = malformed("no rules")
	}
	return rules, err
}

func (p *parser) corsRule() (CORSRule, error) {
	rule := CORSRule{MaxAge: -1}
	once := seen{}
	err := p.children(func(name string) error {
		text, err := p.text()
		if err != nil {
			return err
		}
		switch name {
		case "AllowedOrigin":
			rule.Origins = append(rule.Origins, text)
		case "AllowedMethod":
			rule.Methods = append(rule.Methods, text)
		case "AllowedHeader":
			rule.Headers = append(rule.Headers, text)
		case "ExposeHeader":
			rule.Expose = append(rule.Expose, text)
		case "ID":
			if rule.ID = text; len(text) > ruleIDMax {
				return malformed("ID of %d bytes", len(text))
			}
			return once.again(name)
		case "MaxAgeSeconds":
			n, err := strconv.ParseUint(text, 10, 31)
			if rule.MaxAge = int(n); err != nil {
				return malformed("MaxAgeSeconds %s", text)
			}
			return once.again(name)
		default:
			return malformed("element %s", name)
		}
		return nil
	})
	if err == nil && (len(rule.Origins) == 0 || len(rule.Methods) == 0) {
		err = malformed("rule without origin or method")
	}
	return rule, err
}

// AppendCORS appends the document of GetBucketCors
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketCors.html).
func AppendCORS(b []byte, rules []CORSRule) []byte {
	const root = "CORSConfiguration"
	b = begin(b, root)
	for i := range rules {
		r := &rules[i]
		b = some(open(b, "CORSRule"), "ID", r.ID)
		b = elements(b, "AllowedHeader", r.Headers)
		b = elements(b, "AllowedMethod", r.Methods)
		b = elements(b, "AllowedOrigin", r.Origins)
		b = elements(b, "ExposeHeader", r.Expose)
		if r.MaxAge >= 0 {
			b = number(b, "MaxAgeSeconds", int64(r.MaxAge))
		}
		b = shut(b, "CORSRule")
	}
	return end(b, root)
}

func elements(b []byte, name string, texts []string) []byte {
	for _, t := range texts {
		b = element(b, name, t)
	}
	return b
}
