// Package evals has requests as users make them, by which the descriptions of tools are judged.
package evals
