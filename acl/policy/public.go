package policy

import (
	"net/netip"
	"slices"
	"strings"

	"shoal/acl"
)

// fixers are the condition keys that make a grant to everybody one to somebody when their values are
// fixed (S3 User Guide, "The meaning of public").
var fixers = []string{"aws:sourceip", "aws:userid", "s3:x-amz-server-side-encryption-aws-kms-key-id"}

// Ranges wider than these are as good as all addresses.
const (
	widestIPv4 = 8
	widestIPv6 = 32
)

// Public says whether the policy allows anything to everybody, as AWS means it: a Principal "*" that no condition narrows to
// fixed values.
func (p *Policy) Public() bool { return slices.ContainsFunc(p.statements, (*statement).public) }

func (st *statement) public() bool {
	if st.effect != acl.Allow || st.principals == nil || !st.principals.everybody {
		return false
	}
	return !slices.ContainsFunc(st.conditions, func(c condition) bool { return c.fixes() })
}

// fixes says whether the condition narrows a grant to fixed values.
func (c *condition) fixes() bool {
	if c.negated || c.ifExists || c.isNull || c.each == forAll || !slices.Contains(fixers, c.key) {
		return false
	}
	for i, o := range c.operands {
		if a, ok := o.(addressOperand); ok {
			if tooWide(netip.Prefix(a)) {
				return false
			}
		} else if text := c.texts[i]; strings.ContainsAny(text, "*?") || strings.Contains(text, "${") || text == "anonymous" {
			return false
		}
	}
	return true
}

func tooWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < widestIPv4
	}
	return p.Bits() < widestIPv6
}
