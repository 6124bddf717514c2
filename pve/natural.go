package pve

import (
	"cmp"
	"strings"
)

// CompareNames orders names of nodes, storages and the like as people count: pve2 comes
// before pve10.
func CompareNames(a, b string) int {
	restA, restB := a, b
	for restA != "" && restB != "" {
		numberA, numberB := digits(restA), digits(restB)
		if numberA == "" || numberB == "" {
			if restA[0] != restB[0] {
				return cmp.Compare(restA[0], restB[0])
			}
			restA, restB = restA[1:], restB[1:]
			continue
		}
		restA, restB = restA[len(numberA):], restB[len(numberB):]
		numberA, numberB = strings.TrimLeft(numberA, "0"), strings.TrimLeft(numberB, "0")
		if order := cmp.Or(len(numberA)-len(numberB), strings.Compare(numberA, numberB)); order != 0 {
			return order
		}
	}
	return cmp.Or(len(restA)-len(restB), strings.Compare(a, b)) // pve01 before pve1
}

// digits are those at the beginning of s.
func digits(s string) string {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n]
}
