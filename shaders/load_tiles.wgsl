// How the forms of a product by tiles bring both factors' tiles to workgroup memory. A form says how large they are (TILE_M,
// TILE_N, TILE_K) and, in `put_a` and `put_b`, where their elements lie.

// Place of the e-th element that is loaded of a tile, x along the tile and y along k: neighbouring lanes read neighbouring words
// of memory, which lie along k or along the tile.
fn element(e: u32, width: u32, along_k: bool) -> vec2<u32> {
    return select(vec2<u32>(e % width, e / width), vec2<u32>(e / TILE_K, e % TILE_K), along_k);
}

fn a_element(e: u32, size: Size) -> vec2<u32> {
    return element(e, TILE_M, !has(size, TRANSPOSE_A));
}

fn b_element(e: u32, size: Size) -> vec2<u32> {
    return element(e, TILE_N, has(size, TRANSPOSE_B));
}

// An element of the left factor; 0 beyond its edges.
fn a_value(size: Size, row: u32, k: u32) -> Read {
    var value = Read(0.0);
    if row < size.m && k < size.k {
        value = a[a_index(size, row, k)];
    }
    return value;
}

// An element of the right factor; 0 beyond its edges.
fn b_value(size: Size, k: u32, column: u32) -> Read {
    var value = Read(0.0);
    if column < size.n && k < size.k {
        value = b[b_index(size, k, column)];
    }
    return value;
}

// Loads both tiles that begin at this row, column and k, by so many lanes together. They begin at `base` where there are
// several of them.
fn load_tiles(size: Size, lane: u32, lanes: u32, base: u32, row0: u32, column0: u32, k0: u32) {
    for (var e = lane; e < TILE_K * TILE_M; e += lanes) {
        let at = a_element(e, size);
        put_a(base, at, a_value(size, row0 + at.x, k0 + at.y));
    }
    for (var e = lane; e < TILE_K * TILE_N; e += lanes) {
        let at = b_element(e, size);
        put_b(base, at, b_value(size, k0 + at.y, column0 + at.x));
    }
}
