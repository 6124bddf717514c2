package mcphttp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// otherTokens are claims that access tokens do not have: those of ID tokens, and of logout
// tokens.
var otherTokens = []string{"nonce", "at_hash", "c_hash", "s_hash", "events"}

// noAccessToken says why a token with a good signature is no access token, "" if it is
// one: an ID token of the same issuer, say, which a client may show to anybody.
func (i *issuer) noAccessToken(token string, claims map[string]json.RawMessage) string {
	var header struct{ Typ string }
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return "its header cannot be read"
	}
	switch typ := strings.TrimPrefix(strings.ToLower(header.Typ), "application/"); {
	case typ == "at+jwt":
		return ""
	case !i.AnyJWT:
		return fmt.Sprintf("its type is %.40q, and that of an access token is at+jwt (RFC 9068; PVE_MCP_OAUTH_TYP)", header.Typ)
	case typ != "" && typ != "jwt":
		return fmt.Sprintf("its type is %.40q, which is not that of an access token", header.Typ)
	}
	for _, name := range otherTokens {
		if has(claims, name) {
			return fmt.Sprintf("it has the claim %s, which no access token has", name)
		}
	}
	if !has(claims, "scope") && !has(claims, "scp") {
		return "it has neither the claim scope nor scp, as an access token has"
	}
	if kind, ok := textOf(claims["typ"]); ok && kind != "Bearer" { // as Keycloak tells them apart
		return fmt.Sprintf("its claim typ is %.40q, and that of an access token is Bearer", kind)
	}
	return ""
}

// scopes are those of a token, and those that its claim gives.
func (i *issuer) scopes(claims map[string]json.RawMessage) []string {
	var all []string
	for _, name := range []string{"scope", "scp"} {
		var list words
		_ = json.Unmarshal(claims[name], &list) // what is none gives none
		all = append(all, list...)
	}
	if i.ScopeClaim == "" {
		return all
	}
	value := claim(claims, i.ScopeClaim)
	var list []string
	if json.Unmarshal(value, &list) != nil {
		if text, ok := textOf(value); ok {
			list = []string{text}
		}
	}
	for _, value := range list {
		all = append(all, i.ScopesOf[value].Strings()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// claim is a claim by its name, or by its path, such as realm_access.roles; nil for none.
func claim(claims map[string]json.RawMessage, name string) json.RawMessage {
	if value := claims[name]; value != nil {
		return value
	}
	first, rest, nested := strings.Cut(name, ".")
	var inner map[string]json.RawMessage
	if !nested || json.Unmarshal(claims[first], &inner) != nil {
		return nil
	}
	return claim(inner, rest)
}

func has(claims map[string]json.RawMessage, name string) bool {
	return claims[name] != nil && string(claims[name]) != "null"
}

func textOf(raw json.RawMessage) (text string, ok bool) {
	return text, json.Unmarshal(raw, &text) == nil && text != "" && len(text) <= maxSubject
}
