;; The product of a matrix in 8 bits with one vector in float32, and with four, 16 columns at a time
;; (SIMD of WebAssembly 2.0). `productOf` in int8.js is the same, readable. Compiled by
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
      (f32.store (local.get $out) (f32.mul (f32.load (local.get $scales)) (call $sum (f32x4.add
        (f32x4.add (local.get $s0) (local.get $s1))
        (f32x4.add (local.get $s2) (local.get $s3))))))
      (local.set $scales (i32.add (local.get $scales) (i32.const 4)))
      (local.set $out (i32.add (local.get $out) (i32.const 4)))
      (br $rows)))

  ;; The same of four vectors, one behind another: their products stand one behind another, too.
  (func (export "products")
    (param $numbers i32) (param $scales i32) (param $x0 i32) (param $out i32)
    (param $count i32) (param $columns i32)
    (local $x1 i32) (local $x2 i32) (local $x3 i32) (local $last i32) (local $end i32)
    (local $place i32) (local $bytes v128) (local $half v128)
    (local $w0 v128) (local $w1 v128) (local $w2 v128) (local $w3 v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
    (local.set $columns (i32.shl (local.get $columns) (i32.const 2)))
    (local.set $count (i32.shl (local.get $count) (i32.const 2)))
    (local.set $last (i32.add (local.get $out) (local.get $count)))
    (local.set $end (i32.add (local.get $x0) (local.get $columns)))
    (loop $rows
      (if (i32.ge_u (local.get $out) (local.get $last)) (then (return)))
      (local.set $s0 (v128.const f32x4 0 0 0 0))
      (local.set $s1 (v128.const f32x4 0 0 0 0))
      (local.set $s2 (v128.const f32x4 0 0 0 0))
      (local.set $s3 (v128.const f32x4 0 0 0 0))
      (local.set $x0 (i32.sub (local.get $end) (local.get $columns)))
      (local.set $x1 (i32.add (local.get $x0) (local.get $columns)))
      (local.set $x2 (i32.add (local.get $x1) (local.get $columns)))
      (local.set $x3 (i32.add (local.get $x2) (local.get $columns)))
      (loop $columns_left
        (local.set $bytes (v128.load (local.get $numbers)))
        (local.set $half (i16x8.extend_low_i8x16_s (local.get $bytes)))
        (local.set $w0 (f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_s (local.get $half))))
        (local.set $w1 (f32x4.convert_i32x4_s (i32x4.extend_high_i16x8_s (local.get $half))))
        (local.set $half (i16x8.extend_high_i8x16_s (local.get $bytes)))
        (local.set $w2 (f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_s (local.get $half))))
        (local.set $w3 (f32x4.convert_i32x4_s (i32x4.extend_high_i16x8_s (local.get $half))))
        (local.set $s0 (f32x4.add (local.get $s0) (f32x4.add
          (f32x4.add (f32x4.mul (local.get $w0) (v128.load (local.get $x0)))
            (f32x4.mul (local.get $w1) (v128.load offset=16 (local.get $x0))))
          (f32x4.add (f32x4.mul (local.get $w2) (v128.load offset=32 (local.get $x0)))
            (f32x4.mul (local.get $w3) (v128.load offset=48 (local.get $x0)))))))
        (local.set $s1 (f32x4.add (local.get $s1) (f32x4.add
          (f32x4.add (f32x4.mul (local.get $w0) (v128.load (local.get $x1)))
            (f32x4.mul (local.get $w1) (v128.load offset=16 (local.get $x1))))
          (f32x4.add (f32x4.mul (local.get $w2) (v128.load offset=32 (local.get $x1)))
            (f32x4.mul (local.get $w3) (v128.load offset=48 (local.get $x1)))))))
        (local.set $s2 (f32x4.add (local.get $s2) (f32x4.add
          (f32x4.add (f32x4.mul (local.get $w0) (v128.load (local.get $x2)))
            (f32x4.mul (local.get $w1) (v128.load offset=16 (local.get $x2))))
          (f32x4.add (f32x4.mul (local.get $w2) (v128.load offset=32 (local.get $x2)))
            (f32x4.mul (local.get $w3) (v128.load offset=48 (local.get $x2)))))))
        (local.set $s3 (f32x4.add (local.get $s3) (f32x4.add
          (f32x4.add (f32x4.mul (local.get $w0) (v128.load (local.get $x3)))
            (f32x4.mul (local.get $w1) (v128.load offset=16 (local.get $x3))))
          (f32x4.add (f32x4.mul (local.get $w2) (v128.load offset=32 (local.get $x3)))
            (f32x4.mul (local.get $w3) (v128.load offset=48 (local.get $x3)))))))
        (local.set $numbers (i32.add (local.get $numbers) (i32.const 16)))
        (local.set $x0 (i32.add (local.get $x0) (i32.const 64)))
        (local.set $x1 (i32.add (local.get $x1) (i32.const 64)))
        (local.set $x2 (i32.add (local.get $x2) (i32.const 64)))
        (local.set $x3 (i32.add (local.get $x3) (i32.const 64)))
        (br_if $columns_left (i32.lt_u (local.get $x0) (local.get $end))))
      (f32.store (local.get $out)
        (f32.mul (f32.load (local.get $scales)) (call $sum (local.get $s0))))
      (local.set $place (i32.add (local.get $out) (local.get $count)))
      (f32.store (local.get $place)
        (f32.mul (f32.load (local.get $scales)) (call $sum (local.get $s1))))
      (local.set $place (i32.add (local.get $place) (local.get $count)))
      (f32.store (local.get $place)
        (f32.mul (f32.load (local.get $scales)) (call $sum (local.get $s2))))
      (local.set $place (i32.add (local.get $place) (local.get $count)))
      (f32.store (local.get $place)
        (f32.mul (f32.load (local.get $scales)) (call $sum (local.get $s3))))
      (local.set $scales (i32.add (local.get $scales) (i32.const 4)))
      (local.set $out (i32.add (local.get $out) (i32.const 4)))
      (br $rows)))

  (func $sum (param $lanes v128) (result f32)
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $lanes)) (f32x4.extract_lane 1 (local.get $lanes)))
      (f32.add (f32x4.extract_lane 2 (local.get $lanes)) (f32x4.extract_lane 3 (local.get $lanes))))))
