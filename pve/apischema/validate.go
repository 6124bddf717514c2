package apischema

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Values are the parameters of a call by name. A value is a string, a bool (only
// a JSON body has those), a []any, a map[string]any, or nil for a parameter that
// was given without a value, which to PVE is an absent one.
type Values map[string]any

// ParamError is PVE's refusal of parameters: HTTP status 400, reason "Parameter
// verification failed.".
type ParamError struct {
	// Errors has a message for each refused parameter, in PVE's words. Some end
	// in a line break, as PVE's do.
	Errors map[string]string
}

func (e *ParamError) Error() string {
	var b strings.Builder
	b.WriteString("Parameter verification failed.\n")
	for _, k := range slices.Sorted(maps.Keys(e.Errors)) {
		fmt.Fprintf(&b, "%s: %s\n", k, e.Errors[k])
	}
	return b.String()
}

// Validate checks params against the endpoint as PVE's REST handler does and
// returns them in the form that the code behind the endpoint sees: a single
// value of a list is a list, the items of a "-list" string are joined. A refusal
// is a *[ParamError].
func (a *API) Validate(ep *Endpoint, params Values) (Values, error) {
	// The node that is to answer is looked for first; what is false in Perl is none.
	if node := params[ep.ProxyTo]; ep.Params[ep.ProxyTo] != nil && (node == nil || node == "" || node == "0") {
		return nil, &ParamError{map[string]string{ep.ProxyTo: "proxyto parameter does not exist"}}
	}
	params = maps.Clone(params)
	schemas := make(map[string]*Schema, len(ep.Params)+len(params))
	for name, s := range ep.Params {
		if !strings.HasSuffix(name, "[n]") {
			schemas[name] = s
		}
	}
	for name, value := range params {
		if s := a.Param(ep, name); s != nil {
			schemas[name] = s
			params[name] = shape(s, value)
		}
	}
	v := validator{api: a, errors: map[string]string{}}
	v.object("", schemas, params, ep.Closed)
	if len(v.errors) > 0 {
		return nil, &ParamError{v.errors}
	}
	return params, nil
}

// Param returns the schema of a parameter, of net[n] for net0, or nil.
func (a *API) Param(ep *Endpoint, name string) *Schema {
	if s := ep.Params[name]; s != nil {
		return s
	}
	base := strings.TrimRight(name, "0123456789")
	index, err := strconv.Atoi(name[len(base):])
	highest, indexed := a.facts.Highest[base]
	if err != nil || !indexed || index > highest || name != base+strconv.Itoa(index) {
		return nil
	}
	return ep.Params[base+"[n]"]
}

// shape converts between one value and several as PVE's REST handler does.
func shape(s *Schema, value any) any {
	list, isList := value.([]any)
	switch {
	case s.Type == "array" && !isList && value != nil:
		return []any{value}
	case isList && s.Format != nil && strings.HasSuffix(s.Format.Name, "-list"):
		items := make([]string, len(list))
		for i, e := range list {
			items[i] = fmt.Sprint(e)
		}
		return strings.Join(items, ",")
	}
	return value
}

// validator follows PVE::JSONSchema's check_object, check_prop and check_type.
type validator struct {
	api    *API
	errors map[string]string
}

func (v *validator) fail(path, format string, args ...any) {
	if path == "" {
		path = "_root"
	}
	msg := fmt.Sprintf(format, args...)
	if old, ok := v.errors[path]; ok {
		msg = old + `\n` + msg // PVE joins with these two characters
	}
	v.errors[path] = msg
}

func (v *validator) object(path string, schemas map[string]*Schema, values Values, closed bool) {
	for _, k := range slices.Sorted(maps.Keys(schemas)) {
		v.prop(under(path, k), schemas[k], values[k])
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		s := schemas[k]
		if s == nil {
			if closed {
				v.fail(under(path, k), "property is not defined in schema and the schema does not allow additional properties")
			}
			continue
		}
		if s.Requires != "" && values[s.Requires] == nil {
			v.fail(under(path, s.Requires), "missing property - '%s' requires this property", under(path, k))
		}
	}
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (v *validator) prop(path string, s *Schema, value any) {
	if value == nil {
		if s.Type != "null" && !s.Optional && s.Alias == "" {
			v.fail(path, "property is missing and it is not optional")
		}
		return
	}
	if problem := checkType(s.Type, value); problem != "" {
		v.fail(path, "%s", problem)
		return
	}
	switch value := value.(type) {
	case []any:
		for i, e := range value {
			if s.Items != nil {
				v.prop(fmt.Sprintf("%s[%d]", path, i), s.Items, e)
			}
		}
	case map[string]any:
		if s.Properties != nil {
			v.object(path, s.Properties, value, s.Closed)
		}
	case string:
		if problem := v.scalar(path, s, value); problem != "" {
			v.fail(path, "%s", problem)
		}
	}
}

func checkType(typ string, value any) string {
	failed := "type check ('" + typ + "') failed"
	switch value := value.(type) {
	case []any:
		if typ == "array" || typ == "" || typ == "any" {
			return ""
		}
		return failed + " - got ARRAY"
	case map[string]any:
		if typ == "object" || typ == "" || typ == "any" {
			return ""
		}
		return failed + " - got HASH"
	case bool:
		if typ == "boolean" || typ == "" || typ == "any" {
			return ""
		}
		return failed + " - got JSON::PP::Boolean"
	case string:
		ok := true
		switch typ {
		case "array", "object":
			return failed
		case "null":
			return failed + " - value is not null"
		case "boolean":
			ok = value == "0" || value == "1"
		case "integer":
			ok = isInteger(value)
		case "number":
			ok = isNumber(value)
		}
		if !ok {
			return failed + " - got '" + value + "'"
		}
		return ""
	}
	return fmt.Sprintf("%s - got %T", failed, value)
}

// scalar checks in PVE's order and stops at the first problem.
func (v *validator) scalar(path string, s *Schema, value string) string {
	if s.Format != nil {
		if err := v.format(path, s.Format, value); err != nil {
			return "invalid format - " + err.Error() + "\n"
		}
	}
	if s.Pattern != "" && !v.api.facts.matchPerl(s.Pattern, value) {
		return "value does not match the regex pattern"
	}
	length := utf8.RuneCountInString(value)
	if s.MaxLength != nil && length > *s.MaxLength {
		return fmt.Sprintf("value may only be %d characters long", *s.MaxLength)
	}
	if s.MinLength != nil && length < *s.MinLength {
		return fmt.Sprintf("value must be at least %d characters long", *s.MinLength)
	}
	if isNumber(value) {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil { // out of range; ParseFloat says which infinity
			n = math.Copysign(math.Inf(1), n)
		}
		if s.Maximum != nil && n > *s.Maximum {
			return "value must have a maximum value of " + perlNumber(*s.Maximum)
		}
		if s.Minimum != nil && n < *s.Minimum {
			return "value must have a minimum value of " + perlNumber(*s.Minimum)
		}
	}
	if s.Enum != nil && !slices.Contains(s.Enum, value) {
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", value, strings.Join(s.Enum, ", "))
	}
	return ""
}

func perlNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
