package screen

import (
	"bytes"
	"image"
	"image/color"
	"image/png"

	"golang.org/x/image/draw"
)

// MaxPNG is how many bytes a picture has at most.
const MaxPNG = 120_000

// Widths that a picture gets until it has no more than [MaxPNG] bytes; its height follows.
var widths = []int{1280, 1024, 800, 640, 480, 320, 160, 80}

// PNG draws a screen, smaller if it would be too large, and returns the size of what it has
// drawn.
func PNG(img *image.RGBA) (data []byte, size image.Point, err error) {
	full := img.Rect.Size()
	if data, err = encode(img); err != nil || full.X <= widths[0] && len(data) <= MaxPNG {
		return data, full, err
	}
	for _, width := range widths {
		if width >= full.X {
			continue
		}
		size = image.Pt(width, max(1, full.Y*width/full.X))
		small := image.NewRGBA(image.Rectangle{Max: size})
		draw.ApproxBiLinear.Scale(small, small.Rect, img, img.Rect, draw.Src, nil)
		if data, err = encode(small); err != nil || len(data) <= MaxPNG {
			break
		}
	}
	return data, size, err
}

func encode(img *image.RGBA) ([]byte, error) {
	var out bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	if few := paletted(img); few != nil {
		err := e.Encode(&out, few)
		return out.Bytes(), err
	}
	err := e.Encode(&out, img)
	return out.Bytes(), err
}

// paletted is a picture of at most 256 colours, which takes less room; nil if it has more.
func paletted(img *image.RGBA) *image.Paletted {
	out := image.NewPaletted(img.Rect, nil)
	index := map[uint32]uint8{}
	for i := range out.Pix {
		c := colourAt(img.Pix[4*i:])
		n, known := index[c]
		if !known {
			if len(index) == 256 {
				return nil
			}
			n = uint8(len(index))
			index[c] = n
			p := img.Pix[4*i:]
			out.Palette = append(out.Palette, color.RGBA{p[0], p[1], p[2], p[3]})
		}
		out.Pix[i] = n
	}
	return out
}

// fewPixels is the share of a picture's pixels, one of so many, that may differ between two
// pictures that count as the same: a cursor that blinks, or a clock.
const fewPixels = 500

// Same reports whether two pictures differ in few pixels or none.
func Same(a, b *image.RGBA) bool {
	if a.Rect != b.Rect {
		return false
	}
	off := 0
	for i := 0; i < len(a.Pix); i += 4 {
		if colourAt(a.Pix[i:]) != colourAt(b.Pix[i:]) {
			off++
		}
	}
	return off*fewPixels <= len(a.Pix)/4
}
