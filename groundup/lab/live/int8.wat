;; The product of a matrix in 8 bits with a vector in float32, 16 columns at a time (SIMD of
;; WebAssembly 2.0). `productOf` in int8.js is the same, readable. Compiled by
;;     wat2wasm int8.wat -o int8.wasm
;; (Debian's package wabt), which the page loads from int8.wasm.
(module
  (import "page" "memory" (memory 1))

  ;; out[r] = scales[r] * (sum over c of numbers[r * columns + c] * x[c]), r = 0 .. count - 1.
  ;; Addresses in bytes; `columns` is a multiple of 16.
  (func (export "product")
    (param $numbers i32) (param $scales i32) (param $x i32) (param $out i32)
    (param $count i32) (param $columns i32)
    (local $last i32) (local $end i32) (local $at i32)
    (local $bytes v128) (local $half v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
    (local.set $last (i32.add (local.get $out) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $end (i32.add (local.get $x) (i32.shl (local.get $columns) (i32.const 2))))
    (loop $rows
      (if (i32.ge_u (local.get $out) (local.get $last)) (then (return)))
      (local.set $s0 (v128.const f32x4 0 0 0 0))
      (local.set $s1 (v128.const f32x4 0 0 0 0))
      (local.set $s2 (v128.const f32x4 0 0 0 0))
      (local.set $s3 (v128.const f32x4 0 0 0 0))
      (local.set $at (local.get $x))
      (loop $columns_left
        (local.set $bytes (v128.load (local.get $numbers)))
        (local.set $half (i16x8.extend_low_i8x16_s (local.get $bytes)))
        (local.set $s0 (f32x4.add (local.get $s0) (f32x4.mul
          (f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_s (local.get $half)))
          (v128.load (local.get $at)))))
        (local.set $s1 (f32x4.add (local.get $s1) (f32x4.mul
          (f32x4.convert_i32x4_s (i32x4.extend_high_i16x8_s (local.get $half)))
          (v128.load offset=16 (local.get $at)))))
        (local.set $half (i16x8.extend_high_i8x16_s (local.get $bytes)))
        (local.set $s2 (f32x4.add (local.get $s2) (f32x4.mul
          (f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_s (local.get $half)))
          (v128.load offset=32 (local.get $at)))))
        (local.set $s3 (f32x4.add (local.get $s3) (f32x4.mul
          (f32x4.convert_i32x4_s (i32x4.extend_high_i16x8_s (local.get $half)))
          (v128.load offset=48 (local.get $at)))))
        (local.set $numbers (i32.add (local.get $numbers) (i32.const 16)))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br_if $columns_left (i32.lt_u (local.get $at) (local.get $end))))
      (local.set $s0 (f32x4.add
        (f32x4.add (local.get $s0) (local.get $s1))
        (f32x4.add (local.get $s2) (local.get $s3))))
      (f32.store (local.get $out) (f32.mul (f32.load (local.get $scales)) (f32.add
        (f32.add (f32x4.extract_lane 0 (local.get $s0)) (f32x4.extract_lane 1 (local.get $s0)))
        (f32.add (f32x4.extract_lane 2 (local.get $s0)) (f32x4.extract_lane 3 (local.get $s0))))))
      (local.set $scales (i32.add (local.get $scales) (i32.const 4)))
      (local.set $out (i32.add (local.get $out) (i32.const 4)))
      (br $rows))))
