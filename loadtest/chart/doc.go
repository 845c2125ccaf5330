// Package chart draws measurements as SVG: lines over a linear, logarithmic or percentile axis, horizontal bars,
// and sheets of several charts.
//
// A chart is a plain value that whoever made it owns; drawing reads it and keeps nothing. A picture is drawn for
// a width and is as high as it needs to be; text keeps its size, so a narrow screen gets a picture drawn for it
// instead of a small one.
//
// # Invariants
//
//   - No text covers another and none leaves the picture: widths are measured with the widest of the usual
//     fonts, long names are cut with an ellipsis, and their full form is in a tooltip.
//   - Every coordinate is finite and every point lies inside its plot. Values that an axis has no place for (not a
//     number, infinite, zero on a logarithm) are left out.
//   - Linear axes contain zero, so that lengths and heights compare as the numbers do.
//   - A picture loads nothing and runs nothing: tooltips are title elements, light and dark follow the reader's
//     setting, and all text is escaped in one place, the canvas.
//   - Hues are the palette of Okabe and Ito, which colour-blind readers tell apart; lines also differ in dashes.
package chart
