package s3op

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// bucketCORS is Get-, Put- and DeleteBucketCors
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html).
var bucketCORS = setting{
	name: api.ConfigCORS, limit: s3xml.MaxCORS,
	unset: missing(s3err.NoSuchCORSConfiguration),
	read: func(text []byte) ([]byte, error) {
		rules, err := s3xml.ParseCORS(text)
		if err != nil {
			return nil, xmlError(err)
		}
		for i := range rules {
			if err := checkCORSRule(&rules[i]); err != nil {
				return nil, err
			}
		}
		return s3xml.AppendCORS(nil, rules), nil
	},
}

var corsMethods = stringSet("GET PUT POST DELETE HEAD")

// checkCORSRule holds a rule against what S3 takes.
func checkCORSRule(r *s3xml.CORSRule) error {
	for _, m := range r.Methods {
		if !corsMethods[m] {
			return errInvalidRequest("Found unsupported HTTP method in CORS config. Unsupported method is %s", m)
		}
	}
	for _, o := range r.Origins {
		if strings.Count(o, "*") > 1 {
			return errInvalidRequest("AllowedOrigin %q can not have more than one wildcard.", o)
		}
	}
	for _, h := range r.Headers {
		if strings.Count(h, "*") > 1 {
			return errInvalidRequest("AllowedHeader %q can not have more than one wildcard.", h)
		}
	}
	for _, h := range r.Expose {
		if strings.Contains(h, "*") {
			return errInvalidRequest("ExposeHeader %q contains wildcard. We currently do not support wildcard for ExposeHeader", h)
		}
	}
	for _, text := range slices.Concat(r.Origins, r.Headers, r.Expose) {
		for i := range len(text) {
			if text[i] <= ' ' || text[i] == 0x7f {
				return s3err.New(s3err.MalformedXML) // it could not stand in a header
			}
		}
	}
	return nil
}

// preflight is the question of a browser whether a script of another origin may send a
// request. It comes unsigned
// (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html).
var preflight = Operation{Name: "OptionsObject", Method: http.MethodOptions, Scope: ObjectScope, Unsigned: true, free: true, serve: servePreflight}

func servePreflight(ctx context.Context, c *call) error {
	h := c.HTTP.Header
	origin, method := h.Get("Origin"), h.Get("Access-Control-Request-Method")
	if origin == "" {
		return s3err.Newf(s3err.BadRequest, "Insufficient information. Origin request header needed.")
	}
	if !corsMethods[method] {
		if method == "" {
			method = "null"
		}
		return s3err.Newf(s3err.BadRequest, "Invalid Access-Control-Request-Method: %s", method)
	}
	asked := splitList(h.Values("Access-Control-Request-Headers"))
	rules, found, err := c.corsRules(ctx)
	if err != nil {
		return err
	}
	scope := ObjectScope
	if c.Key == "" {
		scope = BucketScope
	}
	refuse := func(text string) error {
		return s3err.Newf(s3err.AccessForbidden, "%s", text).With("Method", method).With("ResourceType", scope.String())
	}
	switch {
	case !found:
		return refuse("CORSResponse: Bucket not found")
	case len(rules) == 0:
		return refuse("CORSResponse: CORS is not enabled for this bucket.")
	}
	for i := range rules {
		if rule := &rules[i]; allowsCORS(rule, origin, method) && allowsHeaders(rule, asked) {
			writeCORS(c.w.Header(), rule, origin, asked)
			return c.writeEmpty()
		}
	}
	return refuse("CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, " +
		"request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
}

// corsRules gives a bucket's rules, and whether there is such a bucket.
func (c *call) corsRules(ctx context.Context) (rules []s3xml.CORSRule, found bool, err error) {
	conf, err := c.Buckets.Configuration(ctx, c.Bucket, 0)
	switch {
	case err != nil && api.KindOf(err) == api.NoSuchBucket:
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	doc := conf.Documents[api.ConfigCORS]
	if len(doc) == 0 {
		return nil, true, nil
	}
	rules, err = s3xml.ParseCORS(doc)
	if err != nil {
		return nil, true, &api.Error{Kind: api.Corrupt, Op: "s3op.corsRules", Bucket: c.Bucket, Err: err}
	}
	return rules, true, nil
}

// ShareOrigin sets the headers of CORS on the answer to a request that names an origin, if
// the first rule that fits origin and method is found. Nothing is said of an origin that no
// rule allows
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html).
func ShareOrigin(ctx context.Context, s *Service, r *Request, h http.Header) error {
	origin := r.HTTP.Header.Get("Origin")
	if origin == "" || r.Bucket == "" || r.HTTP.Method == http.MethodOptions {
		return nil
	}
	c := &call{Service: s, Request: r}
	rules, _, err := c.corsRules(ctx)
	if err != nil {
		return err
	}
	for i := range rules {
		if allowsCORS(&rules[i], origin, r.HTTP.Method) {
			writeCORS(h, &rules[i], origin, nil)
			return nil
		}
	}
	return nil
}

// writeCORS sets the headers of a rule that fits.
func writeCORS(h http.Header, rule *s3xml.CORSRule, origin string, asked []string) {
	if slices.Contains(rule.Origins, "*") {
		h["Access-Control-Allow-Origin"] = []string{"*"}
	} else {
		h["Access-Control-Allow-Origin"] = []string{origin}
		h["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	h["Access-Control-Allow-Methods"] = []string{strings.Join(rule.Methods, ", ")}
	if len(asked) > 0 {
		h["Access-Control-Allow-Headers"] = []string{strings.ToLower(strings.Join(asked, ", "))}
	}
	if len(rule.Expose) > 0 {
		h["Access-Control-Expose-Headers"] = []string{strings.Join(rule.Expose, ", ")}
	}
	if rule.MaxAge >= 0 {
		h["Access-Control-Max-Age"] = []string{itoa(int64(rule.MaxAge))}
	}
	h["Vary"] = []string{"Origin, Access-Control-Request-Headers, Access-Control-Request-Method"}
}

func allowsCORS(rule *s3xml.CORSRule, origin, method string) bool {
	if !slices.Contains(rule.Methods, method) {
		return false
	}
	for _, pattern := range rule.Origins {
		if wildcard(pattern, origin) {
			return true
		}
	}
	return false
}

// allowsHeaders says whether a rule allows every header that a script wants to send.
func allowsHeaders(rule *s3xml.CORSRule, asked []string) bool {
	for _, name := range asked {
		allowed := slices.ContainsFunc(rule.Headers, func(pattern string) bool {
			return wildcard(strings.ToLower(pattern), strings.ToLower(name))
		})
		if !allowed {
			return false
		}
	}
	return true
}

// wildcard says whether text fits a pattern whose one "*", if it has one, stands for anything.
func wildcard(pattern, text string) bool {
	before, after, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == text
	}
	return len(text) >= len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
}

// splitList reads a list of header names; empty ones are left out.
func splitList(lines []string) []string {
	var out []string
	for part := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
