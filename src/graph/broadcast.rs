//! How the operands of elementwise work lie beside its result, and what the result's shape is.

use crate::shape::{Dim, Shape};

/// Operands that a formula has at most: WebGPU has eight storage buffers a kernel.
pub const MOST_OPERANDS: usize = 6;

/// In which directions an operand goes along with a result `[m, n]`; in the others its values are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broadcast {
    /// A matrix `[m, w]`.
    Both,
    /// A value for each column: `[w]`.
    Columns,
    /// A value for each row: `[m]`.
    Rows,
    /// One value: `[1]`.
    Nothing,
}

/// An operand: its column c stands in column c + shift of the result; where it has none it counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Its directions.
    pub along: Broadcast,
    /// Columns by which it is moved.
    pub shift: i32,
    /// Its own columns; 1 where it does not go along with columns.
    pub width: usize,
}

impl Operand {
    /// Makes an operand without a shift, beside a matrix of this number of columns.
    pub fn new(along: Broadcast, columns: usize) -> Self {
        let width = if matches!(along, Broadcast::Both | Broadcast::Columns) { columns } else { 1 };
        Self { along, shift: 0, width }
    }
}

/// The matrix that elementwise work goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IterationSpace {
    /// The batch's rows, with this number of columns.
    Batch(usize),
    /// Each row of the batch once for each of this many members, with this number of columns.
    Members(usize, usize),
    /// A matrix of parameters, with these rows and columns.
    Matrix(usize, usize),
    /// One row with this number of columns.
    Vector(usize),
    /// The batch's rows and one column.
    PerRow,
}

impl IterationSpace {
    /// Returns the space of a shape's elements.
    pub fn of(shape: &Shape) -> Option<Self> {
        match *shape.dims() {
            [Dim::Batch, Dim::Of(columns)] => Some(Self::Batch(columns)),
            [Dim::Members(members), Dim::Of(columns)] => Some(Self::Members(members, columns)),
            [Dim::Of(rows), Dim::Of(columns)] => Some(Self::Matrix(rows, columns)),
            [Dim::Of(columns)] => Some(Self::Vector(columns)),
            [Dim::Batch] => Some(Self::PerRow),
            _ => None,
        }
    }

    /// Returns the same space with another number of columns.
    #[must_use]
    pub fn with_columns(self, columns: usize) -> Self {
        match self {
            Self::Matrix(rows, _) => Self::Matrix(rows, columns),
            Self::Members(members, _) => Self::Members(members, columns),
            _ => Self::Batch(columns),
        }
    }

    /// Returns the operand that has a value of its own for each element.
    pub fn whole(self) -> Operand {
        let along = match self {
            Self::Batch(_) | Self::Members(..) | Self::Matrix(..) => Broadcast::Both,
            Self::Vector(_) => Broadcast::Columns,
            Self::PerRow => Broadcast::Rows,
        };
        Operand::new(along, self.columns())
    }

    /// Columns of the matrix.
    pub fn columns(self) -> usize {
        match self {
            Self::Batch(columns)
            | Self::Members(_, columns)
            | Self::Matrix(_, columns)
            | Self::Vector(columns) => columns,
            Self::PerRow => 1,
        }
    }

    /// The shape of a value for each element.
    pub fn shape(self) -> Shape {
        match self {
            Self::Batch(columns) => Shape::matrix(Dim::Batch, Dim::Of(columns)),
            Self::Members(members, columns) => {
                Shape::matrix(Dim::Members(members), Dim::Of(columns))
            }
            Self::Matrix(rows, columns) => Shape::matrix(Dim::Of(rows), Dim::Of(columns)),
            Self::Vector(columns) => Shape::vector(columns),
            Self::PerRow => Shape::per_row(),
        }
    }

    /// How an operand of this shape lies in it, if it fits without being moved.
    pub fn along(self, shape: &Shape) -> Option<Broadcast> {
        let along = match (shape.dims(), self) {
            ([Dim::Batch, Dim::Of(_)], Self::Batch(_))
            | ([Dim::Of(_), Dim::Of(_)], Self::Matrix(..)) => Broadcast::Both,
            (&[Dim::Members(members), Dim::Of(_)], Self::Members(own, _)) if members == own => {
                Broadcast::Both
            }
            // A value for each row of the batch has no value for each member.
            ([Dim::Batch], Self::Members(..)) => return None,
            ([Dim::Batch], _) => Broadcast::Rows,
            ([Dim::Of(1)], _) if self.columns() != 1 => Broadcast::Nothing,
            ([Dim::Of(_)], _) => Broadcast::Columns,
            _ => return None,
        };
        Some(along)
    }

    /// Returns whether an operand has a value of its own for each element, where it lies.
    pub fn is_full(self, operand: Operand) -> bool {
        match self {
            Self::Batch(columns) | Self::Members(_, columns) | Self::Matrix(_, columns) => {
                operand == Operand { along: Broadcast::Both, shift: 0, width: columns }
            }
            Self::Vector(columns) => {
                operand == Operand { along: Broadcast::Columns, shift: 0, width: columns }
            }
            Self::PerRow => operand.along == Broadcast::Rows,
        }
    }
}
