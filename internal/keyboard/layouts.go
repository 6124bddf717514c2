package keyboard

import "slices"

// layout is what the keys of a keyboard type, in rows from the top: alone, with Shift and with
// AltGr. A blank is a key that types nothing, or a dead one, which types nothing alone. The
// last row begins with the key right of the left Shift.
type layout struct {
	name                string
	plain, shift, altGr [4]string
}

// layouts are those that are known. The first is the usual one.
var layouts = []layout{
	{
		"us",
		[4]string{"`1234567890-=", "qwertyuiop[]", `asdfghjkl;'\`, " zxcvbnm,./"},
		[4]string{"~!@#$%^&*()_+", "QWERTYUIOP{}", `ASDFGHJKL:"|`, " ZXCVBNM<>?"},
		[4]string{},
	},
	{
		"gb",
		[4]string{"`1234567890-=", "qwertyuiop[]", `asdfghjkl;'#`, `\zxcvbnm,./`},
		[4]string{"¬!\"£$%^&*()_+", "QWERTYUIOP{}", `ASDFGHJKL:@~`, `|ZXCVBNM<>?`},
		[4]string{"    €"},
	},
	{
		"de",
		[4]string{" 1234567890ß ", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"},
		[4]string{"°!\"§$%&/()=? ", "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ'", ">YXCVBNM;:_"},
		[4]string{`  ²³   {[]}\`, "@ €        ~", "", "|      µ"},
	},
	{
		"fr",
		[4]string{"²&é\"'(-è_çà)=", "azertyuiop $", "qsdfghjklmù*", "<wxcvbn,;:!"},
		[4]string{" 1234567890°+", "AZERTYUIOP £", "QSDFGHJKLM%µ", ">WXCVBN?./§"},
		[4]string{`   #{[| \ @]}`, "  €", "", ""},
	},
	{
		"es",
		[4]string{"º1234567890'¡", "qwertyuiop +", "asdfghjklñ ç", "<zxcvbnm,.-"},
		[4]string{"ª!\"·$%&/()=?¿", "QWERTYUIOP *", "ASDFGHJKLÑ Ç", ">ZXCVBNM;:_"},
		[4]string{`\|@#  ¬`, "  €       []", "          {}", ""},
	},
	{
		"it",
		[4]string{`\1234567890'ì`, "qwertyuiopè+", "asdfghjklòàù", "<zxcvbnm,.-"},
		[4]string{`|!"£$%&/()=?^`, "QWERTYUIOPé*", "ASDFGHJKLç°§", ">ZXCVBNM;:_"},
		[4]string{"", "  €       []", "         @#", ""},
	},
}

// Layouts are the names of the layouts that are known, the usual one first.
func Layouts() []string {
	var names []string
	for _, l := range layouts {
		names = append(names, l.name)
	}
	return names
}

// named returns the layout of a name. PVE's own names are understood too.
func named(name string) (layout, bool) {
	switch name {
	case "", "en-us":
		name = "us"
	case "en-gb":
		name = "gb"
	}
	i := slices.IndexFunc(layouts, func(l layout) bool { return l.name == name })
	if i < 0 {
		return layout{}, false
	}
	return layouts[i], true
}

// key is a key of a keyboard, and what is held with it.
type key struct {
	row, column  int
	shift, altGr bool
}

// extra is the key right of the left Shift, which not every keyboard has.
func (k key) extra() bool { return k.row == 3 && k.column == 0 }

// keyOf returns the key that types a character.
func (l layout) keyOf(char rune) (key, bool) {
	for i, level := range [][4]string{l.plain, l.shift, l.altGr} {
		for row, chars := range level {
			if column := slices.Index([]rune(chars), char); column >= 0 && char != ' ' {
				return key{row, column, i == 1, i == 2}, true
			}
		}
	}
	return key{}, false
}

// char returns what a key types, a blank for nothing.
func (l layout) char(k key) rune {
	level := l.plain
	if k.shift {
		level = l.shift
	}
	if k.altGr {
		level = l.altGr
	}
	chars := []rune(level[k.row])
	if k.column >= len(chars) {
		return ' '
	}
	return chars[k.column]
}
